#!/usr/bin/env python3
"""Makes cases.json: chat templates of our own writing and what the PyPI package `jinja2` makes of
them, set up as chat templates are rendered elsewhere (trim_blocks, lstrip_blocks, a sandbox, loop
controls, generation blocks, tojson without HTML escapes, no tools, no documents).

Usage: tests/vectors/chat/make.py   (writes next to itself)
"""
import datetime
import json
import os

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent)


def environment(date):
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    if date:
        env.globals["strftime_now"] = lambda f: datetime.date(*date).strftime(f)
    return env


def outcome(case):
    """{"text": what the case renders as} or {"fails": why}."""
    try:
        template = environment(case.get("date")).from_string(case["template"])
        return {"text": template.render(
            messages=json.loads(json.dumps(case["messages"])), tools=None, documents=None,
            add_generation_prompt=case["add_generation_prompt"],
            bos_token=case["bos"], eos_token=case["eos"])}
    except Exception as why:  # of any kind: the template's, Jinja's, Python's
        return {"fails": f"{type(why).__name__}: {why}"}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": " You are brief.\n"}
PLAIN = [user("Hello "), assistant(" Hi, what is it?"), user("What is 2 + 2?\n")]
TALKS = {
    "one": ([user("Hello")], True),
    "system": ([SYSTEM] + PLAIN, True),
    "plain": (PLAIN, False),
    "odd": ([user("a <b> \"c\" {{ d }} é 日本 \U0001f600"), assistant("<think>\nhm\n</think>\n\n4")], False),
}
CHATML = ("{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

# The forms of known families, each written anew with the constructs that their templates use.
FAMILIES = {
    "chatml": CHATML,
    "default_system": """\
{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
Be helpful.<|im_end|>
' }}{% endif %}{{ '<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>
' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}""",
    "qwen2": """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson | safe + 1.5 / 2 ** 3 }}
    {%- endfor %}
    {{- "\\n</tools>{\\"name\\": <name>}<|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a model.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "qwen3": """\
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}{% set content = message.content %}{% else %}{% set content = '' %}{% endif %}
    {%- if message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    "llama2": """\
{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}\
{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}\
{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}\
{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""",
    "llama3": """\
{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}\
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}""",
    "llama32": """\
{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}

{#- The system message #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if builtin_tools is defined %}
    {{- "Tools: " + builtin_tools | reject('equalto', 'code_interpreter') | join(", ") + "\\n\\n"}}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "mistral_v1": """\
{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}\
{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}""",
    "mistral_v3": """\
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for key, val in tool.items() if key != "return" %}
                {{- '"' + key + '": ' + val|tojson }}
            {%- endfor %}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- endif %}
{%- endfor %}
""",
    "deepseek_v2": """\
{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}{% for message in messages %}\
{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\n\n' }}{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token }}\
{% elif message['role'] == 'system' %}{{ message['content'] + '\n\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}""",
    "deepseek_v3": """\
{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}\
{% set ns = namespace(is_first=false, is_tool=false, system_prompt='', is_first_sp=true) %}\
{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.is_first_sp %}{% set ns.system_prompt = ns.system_prompt + message['content'] %}{% set ns.is_first_sp = false %}\
{%- else %}{% set ns.system_prompt = ns.system_prompt + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}\
{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{ '<｜User｜>' + message['content'] }}{%- endif %}\
{%- if message['role'] == 'assistant' and 'tool_calls' in message %}{%- for tool in message['tool_calls'] %}{{ tool['function']['name'] }}{%- endfor %}{%- endif %}\
{%- if message['role'] == 'assistant' and 'tool_calls' not in message %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}\
{{ '<｜Assistant｜>' + content.strip() + eos_token }}{%- endif %}{%- endfor -%}{% if ns.is_tool %}{{ '<｜tool▁outputs▁end｜>' }}{% endif %}\
{% if add_generation_prompt and not ns.is_tool %}{{ '<｜Assistant｜>' }}{% endif %}""",
    "gemma": """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}\
{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}\
{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}""",
    "phi3": """\
{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}\
{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}\
{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}""",
    "zephyr": """\
{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
    "vicuna": """\
{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'].strip() + '\n\n' %}{% else %}{% set loop_messages = messages %}{% set system_message = '' %}{% endif %}\
{{ bos_token + system_message }}{% for message in loop_messages %}{% if message['role'] == 'user' %}{{ 'USER: ' + message['content'].strip() + '\n' }}\
{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT: ' + message['content'].strip() + eos_token + '\n' }}{% endif %}{% if loop.last and message['role'] == 'user' and add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}{% endfor %}""",
    "macros": """\
{%- macro text_of(content) -%}
    {%- if content is string -%}{{- content }}
    {%- elif content is iterable and content is not mapping -%}
        {%- for item in content -%}{{- item.text if item is mapping else item }}{%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- macro turn(role, content, end='<end>') %}{% generation %}<{{ role | upper }}>{{ text_of(content) | trim }}{{ end }}{% endgeneration %}{% endmacro -%}
{%- for m in messages if m.role != 'system' %}{{ turn(m.role, m.content) }}{{ turn(content=['x', {'text': 'y'}], role='t', end='') }}{% endfor %}
{%- set tail %}
    {{- ' tail ' -}}
{% endset %}
{{- tail }}{% filter trim | upper %}  shouted  {% endfilter %}""",
}

# One construct each; "T" is the talk "system".
CONSTRUCTS = r"""
{{ 1 + 2 * 3 - 4 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 'ab' * 3 }}
{{ true }} {{ none }} {{ missing }}|{{ 1 ~ 'a' ~ none ~ true }} {{ true + 1 }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ 'a' == 'a' != 'b' }} {{ 1 == true }} {{ '1' == 1 }}
{{ 'ell' in 'hello' }} {{ 'x' not in 'hello' }} {{ 2 in [1, 2] }} {{ 'a' in {'a': 1} }} {{ 'x' in missing }}
{{ not true or true }} {{ not (true or true) }} {{ 0 or 'b' }} {{ 1 and '' }} {{ none or missing or 'z' }}
{{ 'a' if true }} {{ 'a' if false }} {{ 'a' if false else 'b' if false else 'c' }}
{{ 'a\n\t\\\'\"\x41\u00e9\U0001F600\101\q' "adjacent" }}
{{ [1, 2, 3][-1] }} {{ [1, 2][5] }} {{ 'héllo'[1] }} {{ 'héllo'[-2:] }} {{ 'héllo'[::-1] }} {{ 'héllo'[10:] }}
{{ [1, 2, 3, 4][1:3]|join(',') }} {{ [1, 2, 3, 4][::2]|join(',') }} {{ [1, 2, 3, 4][-1:0:-2]|join(',') }}
{{ {'a': 1, 'b': {'c': [5]}}.b.c[0] }} {{ {'a': 1}['a'] }} {{ {'a': 1}.x is defined }} {{ {'a': 1}.get('z', 9) }}
{{ messages.0.role }} {{ messages[0]['role'] }} {{ messages[0].nothing is undefined }} {{ messages[-1].content|length }}
{{ '  é '|trim }}| {{ 'xxaxx'|trim('x') }} {{ ' a '.strip() }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'abc'.strip('ac') }}
{{ 'a,b,,c'.split(',')|tojson }} {{ ' a  b '.split()|tojson }} {{ 'a b c'.split(' ', 1)|tojson }} {{ ' a b  c '.split(None, 1)|tojson }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'bc')) }} {{ 'aXbX'.replace('X', '-') }} {{ 'aXbX'|replace('X', '', 1) }}
{{ 'abc'|upper }} {{ 'ABC'.lower() }} {{ 'hELLO wORLD'|capitalize }} {{ 'abc'|first }} {{ [1, 2]|last }} {{ []|first }}
{{ [1, 'a', none]|join('-') }} {{ 'abc'|join('.') }} {{ '-'.join(['x', 'y']) }} {{ {'a': 1, 'b': 2}|join }}
{{ missing|default('d') }} {{ ''|default('d') }}| {{ ''|d('d', true) }} {{ none|default('d') }} {{ none|default('d', boolean=true) }}
{{ '12'|int + 1 }} {{ 'x'|int }} {{ 'x'|int(5) }} {{ ' -3 '|int }} {{ true|int }} {{ 5|string + '!' }} {{ none|string }}
{{ {'a': [1, true, none, 'q"\n\u0001é']}|tojson }} {{ 'é😀'|tojson(ensure_ascii=true) }} {{ []|tojson }} {{ (1, 2)|tojson }}
{{ {'a': [1, {}], 'b': {'c': []}}|tojson(indent=2) }}
{{ messages|map(attribute='role')|join(',') }} {{ ['a', 'b']|map('upper')|join }} {{ ['a-b']|map('replace', '-', '+')|join }}
{{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ messages|rejectattr('role', 'in', ['user', 'system'])|map(attribute='role')|list|tojson }}
{{ [0, 1, '', 'a']|select|list|tojson }} {{ [1, 2, 3]|select('odd')|list|tojson }} {{ [1, 2]|reject('==', 1)|list|tojson }} {{ none|select|list|tojson }}
{{ {'b': 1, 'A': 2}|dictsort|tojson }} {{ {'a': 1}|items|list|tojson }} {{ {'a': 1}.items()|list|tojson }} {{ {'a': 1}.keys()|list|tojson }} {{ {'a': 7}.values()|first }}
{{ 'a' is string }} {{ 1 is number }} {{ true is number }} {{ true is integer }} {{ [] is iterable }} {{ {} is mapping }} {{ 'a' is sequence }} {{ none is none }} {{ 1 is not none }}
{{ 3 is odd }} {{ 3 is even }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ false is boolean }} {{ 2 is gt 1 }} {{ 2 is in [1, 2] }} {{ not 2 is eq 2 }}
{% for x in [1, 2, 3] %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}
{% for x in 'abc' %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }} {% endfor %}
{% for x in range(10) if x % 3 == 0 %}{{ x }}:{{ loop.index0 }} {% else %}none{% endfor %} {% for x in [] %}x{% else %}none{% endfor %}
{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }} {% endfor %}{% for k, v in {'x': 1}.items() %}{{ k }}={{ v }}{% endfor %}{% for k in {'y': 1} %}{{ k }}{% endfor %}
{% for x in range(5) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in [1, 2] %}{% break %}{% else %}else after a break{% endfor %} {% for x in range(3, 0, -1) %}{{ x }}{% endfor %}{{ range(4)|length }}{{ range(1, 9, 3)|join(' ') }}
{% set x = 1 %}{% for y in [1] %}{% set x = 2 %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 3 %}{% endif %}{{ x }}
{% set ns = namespace(a=1) %}{% for y in [1, 2] %}{% set ns.a = ns.a + y %}{% endfor %}{{ ns.a }}{{ ns['a'] }}{{ ns.b is defined }}
{% for x in [1, 2] %}{{ q is defined }}{% set q = 1 %}{{ q }}{% endfor %}{{ q is defined }}
{% set a, b = 1, 'two' %}{{ b }}{{ a }}{% set t = (1, 2) %}{{ t[1] }}{% set x %}a{{ a }}{% endset %}{{ x|length }}{% set y|upper %}up{% endset %}{{ y }}
{% macro m(a, b='B', c=a) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c=2) }}{{ m(b=3, a=4) }}{{ m() }}{{ m('x')|length }}
{% set d = dict(a=1, b='x') %}{{ d.a }}{{ d.b }}{{ dict({'z': 1}, y=2)|tojson }}{{ '<{}|{}>'.format('a', 1) }}
{% generation %}inside{% set q = 1 %}{% endgeneration %}{{ q is defined }} {{ {'a': {'b': 2}} == {'a': {'b': 2}} }} {{ [1, [2]] == [1, [2]] }} {{ (1,) == [1] }}
{{ tools is defined }} {{ tools is none }} {{ documents }} {{ not tools }} {{ bos_token }}{{ eos_token }} {{ add_generation_prompt }} {{ strftime_now is defined }}
"""

# White space around tags, one template each.
SPACES = [
    "a\n  {% if true %}\n  b\n  {% endif %}\n  c\n\n", "a\n  {%+ if true %}\nb\n{% endif +%}\nc", " {{ 1 }} \n {{ 2 }}\n",
    "a  {%- if true -%}  b  {%- endif -%}  c", "a {{- 'b' -}} c", "x {# c #}\n  {#- d -#}  y\n {# e +#}\nz", "\n\n{# c #}\n\n",
    "a\r\nb\rc\r\n", "  {% set a = 1 %}  \n{{ a }}", "{% if true %}\n\n  x{% endif %}\n", "t\t{% if true %}\u00a0{%- endif %}",
    "{{ '}}' }}{{ {'a': {'b': 1}}.a.b }}{{ '{%' }}{ % } { { } }", "",
]


# Templates that Jinja refuses too, by its lexer, its parser or when it runs.
FAULTS = r"""
{{ missing.x }}
{{ 'a' + 1 }}
{{ 'a' + none }}
{{ none|length }}
{{ [1][0:1:0] }}
{{ 1 // 0 }}
{{ 1 < 'a' }}
{{ 1 in 2 }}
{% for x in 5 %}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{{ raise_exception('no way') }}
{{ range(200000) }}
{{ missing() }}
{{ 'a'() }}
{{ 'a'|replace('b') }}
{{ {[]: 1} }}
{{ missing|tojson }}
{% set x.y = 1 %}
{% for loop in [1] %}{% endfor %}
{% set true = 1 %}
{{ 'a'|trim(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(b=1) }}
{% macro m(a=1, b) %}{% endmacro %}
{{
{{ 'a }}
{{ a b }}
{{ }}
{{ (1 }}
{{ 1) }}
{{ [1, }}
{{ {1 2} }}
{{ a. }}
{{ a[ }}
{{ a|  }}
{{ a is }}
{{ ? }}
{% %}
{% if %}{% endif %}
{% if true %}
{% if true %}{% endfor %}
{% endif %}
{% else %}
{% for x %}{% endfor %}
{% for in y %}{% endfor %}
{% set %}
{% set x %}
{% nonsense %}
{# no end
{{ 'a' is defined is defined }}
{{ f(a=1, 2) }}
{{ '\x4' }}
"""


def main():
    cases = []

    def add(name, template, messages, prompt, date=None):
        case = {"name": name, "template": template, "messages": messages, "add_generation_prompt": prompt,
                "bos": "<s>", "eos": "</s>"} | ({"date": date} if date else {})
        cases.append(case | outcome(case))

    for name, template in FAMILIES.items():
        for talk, (messages, prompt) in TALKS.items():
            add(f"{name}, {talk}", template, messages, prompt)
    add("llama32, dated", FAMILIES["llama32"], PLAIN, True, (2026, 3, 1))
    add("dates", "{{ strftime_now('%d %m %y %Y %b %B %a %A %-d %-m 100%%') }}", PLAIN, True, (2024, 2, 29))
    for i, line in enumerate(CONSTRUCTS.strip().split("\n")):
        add(f"construct {i}: {line[:40]}", line, TALKS["system"][0], True)
    for i, template in enumerate(SPACES):
        add(f"spaces {i}", template, PLAIN, False)
    for i, line in enumerate(FAULTS.strip().split("\n")):
        add(f"fault {i}: {line[:40]}", line, PLAIN, True)
        assert "fails" in cases[-1], line
    assert all("text" in c or c["name"].startswith(("fault", "gemma, system", "mistral_v1, system"))
               for c in cases), [(c["name"], c["fails"]) for c in cases if "fails" in c]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.json")
    with open(path, "w") as f:
        json.dump(cases, f, indent=1, ensure_ascii=False)
        f.write("\n")
    print(f"{path}: {len(cases)} cases")


if __name__ == "__main__":
    main()
