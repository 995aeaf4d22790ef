/* Fuzzes files of the paper's devices and of its rates, as users bring them (--proxy-from): each
 * input as both. What is accepted becomes places under roofs and a claim. build/fuzz/rates is the
 * corpus, seeded with a device and a rate each. Read next: ../bench/paper/data.c. */
#define _GNU_SOURCE
#include "fuzz_json.h"
#include "fuzz_records.h"

#include "../bench/paper/claims.h"

enum { MAX_INPUT = 2048 };

static const char *const seeds[] = {
    "{\"source\":\"a\",\"devices\":[{\"name\":\"d\",\"gbps\":[204.8,178.2],\"fp16_tflops\":[16.1,"
    "null],\"fp32_tflops\":[null,4.1],\"ridge\":[78.1,30]}]}",
    "{\"source\":\"a\",\"repetitions\":5,\"resident_bytes\":0,\"rates\":[{\"device\":\"d\","
    "\"model\":\"llama3.2-1b\",\"type\":\"f16\",\"siso\":[100,10],\"liso\":[100,10],"
    "\"silo\":[100,10],\"lilo\":[100,10]}]}",
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static rb_devices devices;
    static rb_rates rates;
    const char *corpus = fuzz_corpus(argc, argv, "rates", MAX_INPUT);
    if (rb_devices_read(&devices, fuzz_file(seeds[0], strlen(seeds[0])), NULL) != RB_OK ||
        rb_rates_read(&rates, fuzz_file(seeds[1], strlen(seeds[1])), NULL) != RB_OK)
        abort(); /* a seed that is refused is no seed */
    for (int i = 0; corpus && i < 2; i++) {
        fuzz_write(corpus, i, "", 0, seeds[i], strlen(seeds[i]));
        fuzz_words(corpus, seeds[i]);
    }
    return 0;
}

static void place(const rb_devices *d)
{
    rb_device_place p;
    for (int i = 0; i < d->n; i++)
        for (int basis = 0; basis < RB_N_BASIS; basis++)
            for (int precision = RB_FP16; precision <= RB_FP32; precision++)
                (void)rb_device_place_of(&d->at[i], (rb_basis)basis, (rb_precision)precision, 4000,
                                         999, &p);
}

static void judge(const rb_rates *rates)
{
    rb_paper_claim c = { .says = "" };
    rb_sheet g = { 0 };
    rb_claim_layers_rated(&c, &g, rates);
    rb_sheet_free(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static rb_devices devices;
    static rb_rates rates;
    const char *path = fuzz_file(data, size);
    rb_error err = { 0 };
    if (rb_devices_read(&devices, path, &err) == RB_OK)
        place(&devices);
    else if (!err.text[0])
        abort();
    err = (rb_error){ 0 };
    if (rb_rates_read(&rates, path, &err) == RB_OK)
        judge(&rates);
    else if (!err.text[0])
        abort();
    return 0;
}
