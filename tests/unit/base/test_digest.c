/* SPDX-License-Identifier: Apache-2.0
 * base/digest: FIPS 180-4's vectors, pieces against the whole, fields that cannot be confused, files. */
#include "unit/base/check.h"

#include <sys/types.h>

#include "base/digest.h"
#include "base/rng.h"

static void hex_is(digest_value v, const char *want) {
    char hex[DIGEST_HEX];
    digest_hex(&v, hex);
    assert_string_equal(hex, want);
}

/* FIPS 180-4 examples (NIST, Cryptographic Standards and Guidelines: SHA256.pdf) and the empty message. */
static void test_vectors(void **state) {
    (void)state;
    hex_is(digest_of("", 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hex_is(digest_of(NULL, 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hex_is(digest_of("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hex_is(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56),
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    digest *d = digest_new();
    char a[1000];
    memset(a, 'a', sizeof a);
    for (int i = 0; i < 1000; i++) {
        digest_add(d, a, sizeof a);
    }
    hex_is(digest_finish(d), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_pieces(void **state) {
    (void)state;
    uint8_t data[300];
    rng r = rng_at(1, "test-digest@1", 0, 0, 0);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)rng_u64(&r);
    }
    for (size_t cut = 0; cut <= sizeof data; cut++) {
        digest *d = digest_new();
        digest_add(d, data, cut);
        digest_value so_far = digest_peek(d);
        digest_value want = digest_of(data, cut);
        assert_true(digest_equal(&so_far, &want));
        digest_add(d, data + cut, sizeof data - cut);
        digest_value whole = digest_finish(d);
        want = digest_of(data, sizeof data);
        assert_true(digest_equal(&whole, &want));
    }
}

static digest_value two_fields(const char *tag1, const char *v1, const char *tag2, const char *v2) {
    digest *d = digest_new();
    digest_field_str(d, tag1, v1);
    digest_field_str(d, tag2, v2);
    return digest_finish(d);
}

static void test_fields(void **state) {
    (void)state;
    /* every way to split the same letters into two fields is a different message */
    digest_value v[] = {two_fields("a", "b", "c", "d"), two_fields("a", "bc", "d", ""), two_fields("ab", "", "c", "d"),
                        two_fields("a", "", "bc", "d"), two_fields("", "ab", "c", "d"), two_fields("c", "d", "a", "b"),
                        two_fields("a", "bcd", "", ""), two_fields("", "", "a", "bcd"), two_fields("abcd", "", "", ""),
                        two_fields("a", "b", "cd", ""), two_fields("", "", "", "abcd"), two_fields("", "abcd", "", "")};
    for (size_t i = 0; i < N_OF(v); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(digest_equal(&v[i], &v[j]));
        }
    }
    /* the encoding itself is stored in databases: tag, NUL, length little-endian, value */
    digest *d = digest_new();
    digest_field_str(d, "id", "xyz");
    digest_field_u64(d, "n", 0x0102030405060708u);
    digest_field(d, "none", NULL, 0);
    digest_value got = digest_finish(d);
    static const char wire[] = "id\0\3\0\0\0\0\0\0\0xyz"
                               "n\0\10\0\0\0\0\0\0\0\10\7\6\5\4\3\2\1"
                               "none\0\0\0\0\0\0\0\0";
    digest_value want = digest_of(wire, sizeof wire);
    assert_true(digest_equal(&got, &want));
    uint64_t n = 5;
    digest *as_u64 = digest_new();
    digest_field_u64(as_u64, "n", n);
    digest *as_bytes = digest_new();
    digest_field(as_bytes, "n", "\5\0\0\0\0\0\0", 8);
    got = digest_finish(as_u64);
    want = digest_finish(as_bytes);
    assert_true(digest_equal(&got, &want));
}

static void test_file(void **state) {
    scratch *s = *state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000};
    char *data = mem_zalloc(200000);
    for (size_t i = 0; i < 200000; i++) {
        data[i] = (char)(i * 31 % 251);
    }
    error err = {0};
    for (size_t i = 0; i < N_OF(sizes); i++) {
        scratch_write(s, "f", data, sizes[i]);
        digest_value got;
        uint64_t n = 99;
        assert_int_equal(digest_file(scratch_path(s, "f"), &got, &n, &err), STATUS_OK);
        assert_int_equal(n, sizes[i]);
        digest_value want = digest_of(data, sizes[i]);
        assert_true(digest_equal(&got, &want));
        assert_int_equal(digest_file(scratch_path(s, "f"), &got, NULL, &err), STATUS_OK);
    }
    mem_free(data);
}

/* A model path may name anything: what never ends or blocks must be refused, not read. */
static void test_no_regular_file(void **state) {
    scratch *s = *state;
    assert_int_equal(mkfifo(scratch_path(s, "fifo"), 0600), 0);
    const char *const paths[] = {scratch_path(s, "fifo"), scratch_path(s, "absent"), s->dir, "/dev/zero", "/dev/null"};
    for (size_t i = 0; i < N_OF(paths); i++) {
        error err = {0};
        digest_value v;
        (void)alarm(5); /* a defect here is a hang */
        assert_int_equal(digest_file(paths[i], &v, NULL, &err), STATUS_IO);
        (void)alarm(0);
        check_has(err.text, paths[i]);
    }
}

static void test_parse(void **state) {
    (void)state;
    static const char good[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    error err = {0};
    digest_value v;
    assert_int_equal(digest_parse(good, &v, &err), STATUS_OK);
    hex_is(v, good);
    assert_int_equal(digest_parse("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", &v, &err),
                     STATUS_OK);
    hex_is(v, good);
    char text[200];
    for (size_t i = 0; i < 64; i++) {
        static const char wrong[] = "gG/:@`{ -\n\xff";
        for (size_t k = 0; k < sizeof wrong - 1; k++) {
            memcpy(text, good, sizeof good);
            text[i] = wrong[k];
            assert_int_equal(digest_parse(text, &v, &err), STATUS_USAGE);
        }
        memcpy(text, good, sizeof good);
        text[i] = '\0';
        assert_int_equal(digest_parse(text, &v, &err), STATUS_USAGE);
    }
    (void)snprintf(text, sizeof text, "%s0", good);
    assert_int_equal(digest_parse(text, &v, &err), STATUS_USAGE);
    (void)snprintf(text, sizeof text, "0x%s", good);
    assert_int_equal(digest_parse(text, &v, &err), STATUS_USAGE);
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(digest_parse(text, &v, &err), STATUS_USAGE);
    assert_true(strlen(err.text) < 160);
}

static void test_equal(void **state) {
    (void)state;
    digest_value a = digest_of("a", 1);
    for (size_t i = 0; i < 8 * DIGEST_BYTES; i++) {
        digest_value b = a;
        assert_true(digest_equal(&a, &b));
        b.bytes[i / 8] ^= (uint8_t)(1u << (i % 8));
        assert_false(digest_equal(&a, &b));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_fields),
        cmocka_unit_test_setup_teardown(test_file, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_no_regular_file, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
