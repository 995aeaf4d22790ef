# Missed bytes: what is left of a row after whole vectors is never written.
s/if (i < k\.to)/if (i > k.to)/
