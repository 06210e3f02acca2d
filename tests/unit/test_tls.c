#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/self_signed.h"
#include "net/tls.h"

#define DAY (24L * 3600)

/* ---- certificates, made for the occasion ---- */

static char dir[] = "/tmp/mockforge-tls-XXXXXX"; /* made by main(), emptied at its end */

struct pair {
    X509 *cert;
    EVP_PKEY *key;
    char cert_path[64], key_path[64];
};

static struct pair ca, other_ca, good, expired, early, wildcard, partial, client;

static void in_dir(char out[64], const char *name, const char *suffix) {
    snprintf(out, 64, "%s/%s%s", dir, name, suffix);
}

static void extend(X509 *cert, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    MUST(e && X509_add_ext(cert, e, -1) == 1);
    X509_EXTENSION_free(e);
}

/* signer NULL: a CA that signs itself. from, to: seconds from now. */
static void make_pair(struct pair *p, const char *name, const struct pair *signer, const char *alt_names, long from,
                      long to) {
    static long serial = 1;
    p->key = EVP_EC_gen("P-256");
    p->cert = X509_new();
    MUST(p->key && p->cert);
    X509_set_version(p->cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(p->cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(p->cert), from);
    X509_gmtime_adj(X509_getm_notAfter(p->cert), to);
    X509_set_pubkey(p->cert, p->key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(p->cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
                               0);
    X509_set_issuer_name(p->cert, X509_get_subject_name(signer ? signer->cert : p->cert));
    extend(p->cert, p->cert, NID_basic_constraints, signer ? "CA:FALSE" : "critical,CA:TRUE");
    if (alt_names)
        extend(p->cert, p->cert, NID_subject_alt_name, alt_names);
    MUST(X509_sign(p->cert, signer ? signer->key : p->key, EVP_sha256()) > 0);
    in_dir(p->cert_path, name, ".crt");
    in_dir(p->key_path, name, ".key");
    BIO *cert_file = BIO_new_file(p->cert_path, "w"), *key_file = BIO_new_file(p->key_path, "w");
    MUST(PEM_write_bio_X509(cert_file, p->cert) == 1);
    MUST(PEM_write_bio_PrivateKey(key_file, p->key, NULL, NULL, 0, NULL, NULL) == 1);
    BIO_free(cert_file);
    BIO_free(key_file);
}

static void free_pair(struct pair *p) {
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    unlink(p->cert_path);
    unlink(p->key_path);
}

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    MUST(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* ---- two sides, joined in memory ---- */

struct sides {
    SSL_CTX *server_context, *client_context;
    SSL *server, *client;
    char server_says[160], client_says[160]; /* "" when fine */
};

static SSL_CTX *server_context(const struct pair *p) {
    struct server_tls_config config = {true, (char *)p->cert_path, (char *)p->key_path};
    struct err err;
    SSL_CTX *ctx;
    ck_assert_msg(tls_server_context(&config, NULL, &ctx, NULL, NULL, &err) == MF_OK, "%s: %s", err.file, err.text);
    return ctx;
}

static SSL_CTX *client_context(const struct upstream_tls_config *config) {
    struct err err;
    SSL_CTX *ctx;
    ck_assert_msg(tls_client_context(config, &ctx, &err) == MF_OK, "%s: %s", err.file, err.text);
    return ctx;
}

/* One turn of one side; false when it cannot go on. */
static bool turn(SSL *ssl, char *says) {
    if (SSL_is_init_finished(ssl) || *says)
        return false;
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(ssl), why = SSL_get_error(ssl, rc);
    if (rc != 1 && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        tls_error_text(ssl, says, 160);
    return true;
}

/* The client may be done before it hears what the server thinks of its certificate: it reads once more. */
static void read_once(SSL *ssl, char *says) {
    char byte;
    if (*says || !SSL_is_init_finished(ssl))
        return;
    ERR_clear_error();
    errno = 0;
    int rc = SSL_read(ssl, &byte, 1), why = SSL_get_error(ssl, rc);
    if (rc <= 0 && why != SSL_ERROR_WANT_READ)
        tls_error_text(ssl, says, 160);
}

static void join(struct sides *s) {
    BIO *a, *b;
    MUST(BIO_new_bio_pair(&a, 256 * 1024, &b, 256 * 1024) == 1);
    SSL_set_bio(s->server, a, a);
    SSL_set_bio(s->client, b, b);
}

static void shake(struct sides *s, SSL_CTX *server, SSL_CTX *client_ctx, const struct upstream_tls_config *config,
                  const char *host) {
    *s = (struct sides){.server_context = server, .client_context = client_ctx};
    s->server = SSL_new(server);
    s->client = tls_client_session(client_ctx, config, host);
    ck_assert_ptr_nonnull(s->server);
    ck_assert_ptr_nonnull(s->client);
    SSL_set_accept_state(s->server);
    join(s);
    for (int i = 0; i < 20; i++) {
        turn(s->client, s->client_says);
        turn(s->server, s->server_says);
    }
    read_once(s->client, s->client_says);
    read_once(s->server, s->server_says);
}

static void part(struct sides *s) {
    SSL_free(s->server);
    SSL_free(s->client);
    SSL_CTX_free(s->server_context);
    SSL_CTX_free(s->client_context);
}

/* ---- verification ---- */

static const struct {
    const struct pair *server;
    const char *host, *server_name;
    const struct pair *trusted; /* NULL: the system's store, by way of SSL_CERT_FILE */
    bool verify;
    const char *client_says, *server_says; /* "": fine */
} handshakes[] = {
    {&good, "api.example", NULL, &ca, true, "", ""},
    {&good, "api.example.", NULL, &ca, true, "", ""},
    {&good, "API.example", NULL, &ca, true, "", ""},
    {&good, "api.example", NULL, NULL, true, "", ""},
    {&good, "127.0.0.1", NULL, &ca, true, "", ""},
    {&good, "::1", NULL, &ca, true, "", ""},
    {&good, "[::1]", NULL, &ca, true, "", ""},
    {&good, "fe80::1%eth0", NULL, &ca, true, "", ""},
    {&good, "10.1.2.3", "api.example", &ca, true, "", ""},
    {&good, "api.example", NULL, &good, true, "", ""}, /* the server's own certificate, pinned */
    {&good, "evil.example", NULL, &ca, false, "", ""},
    {&expired, "api.example", NULL, NULL, false, "", ""},
    {&wildcard, "a.api.example", NULL, &ca, true, "", ""},
    {&wildcard, "a.b.api.example", NULL, &ca, true, "certificate verify failed: it is not for a.b.api.example", NULL},
    {&partial, "ab.api.example", NULL, &ca, true, "certificate verify failed: it is not for ab.api.example", NULL},
    {&good, "evil.example", NULL, &ca, true, "certificate verify failed: it is not for evil.example",
     "the client does not accept the server's certificate (alert: bad certificate)"},
    {&good, "api.example", "evil.example", &ca, true, "certificate verify failed: it is not for evil.example", NULL},
    {&good, "127.0.0.2", NULL, &ca, true, "certificate verify failed: it is not for 127.0.0.2", NULL},
    {&good, "::2", NULL, &ca, true, "certificate verify failed: it is not for ::2", NULL},
    {&expired, "api.example", NULL, &ca, true, "certificate verify failed: certificate has expired",
     "the client does not accept the server's certificate (alert: certificate expired)"},
    {&early, "api.example", NULL, &ca, true, "certificate verify failed: certificate is not yet valid", NULL},
    {&good, "api.example", NULL, &other_ca, true, "certificate verify failed: unable to get local issuer certificate",
     "the client does not accept the server's certificate (alert: unknown CA)"},
    {&ca, "api.example", NULL, &other_ca, true, "certificate verify failed: self-signed certificate", NULL},
};

START_TEST(verifies) {
    struct upstream_tls_config config = {
        .ca = handshakes[_i].trusted ? (char *)handshakes[_i].trusted->cert_path : NULL,
        .server_name = (char *)handshakes[_i].server_name,
        .verify = handshakes[_i].verify,
    };
    struct sides s;
    setenv("SSL_CERT_FILE", ca.cert_path, 1);
    shake(&s, server_context(handshakes[_i].server), client_context(&config), &config, handshakes[_i].host);
    ck_assert_str_eq(s.client_says, handshakes[_i].client_says);
    if (handshakes[_i].server_says)
        ck_assert_str_eq(s.server_says, handshakes[_i].server_says);
    if (!*s.client_says) {
        const unsigned char *alpn;
        unsigned len;
        ck_assert_int_eq(SSL_version(s.client), TLS1_3_VERSION);
        SSL_get0_alpn_selected(s.server, &alpn, &len);
        ck_assert_uint_eq(len, 8);
        ck_assert_mem_eq(alpn, "http/1.1", 8);
    }
    part(&s);
}
END_TEST

START_TEST(names_the_server) {
    static const struct {
        const char *host, *server_name, *sni;
    } cases[] = {{"api.example", NULL, "api.example"},
                 {"api.example.", NULL, "api.example"},
                 {"127.0.0.1", NULL, NULL},
                 {"::1", NULL, NULL},
                 {"[::1]", NULL, NULL},
                 {"127.0.0.1", "x.y", "x.y"},
                 {"x.y", "127.0.0.1", NULL}};
    struct upstream_tls_config config = {.verify = false};
    SSL_CTX *ctx = client_context(&config);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        config.server_name = (char *)cases[i].server_name;
        SSL *ssl = tls_client_session(ctx, &config, cases[i].host);
        const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        if (cases[i].sni)
            ck_assert_str_eq(sni, cases[i].sni);
        else
            ck_assert_ptr_null(sni);
        SSL_free(ssl);
    }
    SSL_CTX_free(ctx);
}
END_TEST

START_TEST(client_certificates) {
    for (int with = 0; with <= 1; with++) {
        struct upstream_tls_config config = {.ca = ca.cert_path, .verify = true};
        if (with) {
            config.cert = client.cert_path;
            config.key = client.key_path;
        }
        SSL_CTX *server = server_context(&good);
        ck_assert_int_eq(SSL_CTX_load_verify_file(server, ca.cert_path), 1);
        SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        struct sides s;
        shake(&s, server, client_context(&config), &config, "api.example");
        ck_assert_str_eq(s.client_says, with ? "" : "the server wants a client certificate (alert: 116)");
        part(&s);
    }
}
END_TEST

/* ---- peers that speak something else ---- */

START_TEST(old_versions_are_refused) {
    struct upstream_tls_config config = {.verify = false};
    SSL_CTX *old = client_context(&config);
    SSL_CTX_set_min_proto_version(old, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION);
    ck_assert_int_eq(SSL_CTX_set_cipher_list(old, "ALL:@SECLEVEL=0"), 1);
    struct sides s;
    shake(&s, server_context(&good), old, &config, "api.example");
    ck_assert_str_eq(s.server_says, "the peer speaks no TLS version from 1.2 up");
    ck_assert_str_eq(s.client_says, "the peer speaks no TLS version from 1.2 up (alert: protocol version)");
    part(&s);

    SSL_CTX *old_server = server_context(&good);
    SSL_CTX_set_min_proto_version(old_server, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(old_server, TLS1_1_VERSION);
    ck_assert_int_eq(SSL_CTX_set_cipher_list(old_server, "ALL:@SECLEVEL=0"), 1);
    shake(&s, old_server, client_context(&config), &config, "api.example");
    ck_assert_ptr_nonnull(strstr(s.client_says, "the peer speaks no TLS version from 1.2 up"));
    part(&s);
}
END_TEST

START_TEST(tls_12_works) {
    static const char *const ciphers[] = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305",
                                          "ECDHE-ECDSA-AES128-SHA256"};
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
        struct upstream_tls_config config = {.ca = ca.cert_path, .verify = true};
        SSL_CTX *old = client_context(&config);
        SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION);
        ck_assert_int_eq(SSL_CTX_set_cipher_list(old, ciphers[i]), 1);
        struct sides s;
        shake(&s, server_context(&good), old, &config, "api.example");
        ck_assert_str_eq(s.server_says, i < 2 ? "" : "no cipher in common with the peer"); /* CBC is not served */
        ck_assert_int_eq(SSL_version(s.client), TLS1_2_VERSION);
        part(&s);
    }
}
END_TEST

START_TEST(h2_only_is_told_so) {
    struct upstream_tls_config config = {.verify = false};
    SSL_CTX *h2 = client_context(&config);
    ck_assert_int_eq(SSL_CTX_set_alpn_protos(h2, (const unsigned char *)"\x02h2", 3), 0);
    struct sides s;
    shake(&s, server_context(&good), h2, &config, "api.example");
    ck_assert_ptr_nonnull(strstr(s.client_says, "no application protocol"));
    part(&s);
}
END_TEST

/* What a side says to bytes that are no TLS. */
static void feed(SSL *ssl, const void *data, size_t len, char *says) {
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    BIO_write(in, data, (int)len);
    BIO_set_mem_eof_return(in, 0);
    SSL_set_bio(ssl, in, out);
    says[0] = '\0';
    for (int i = 0; i < 5; i++)
        turn(ssl, says);
}

static const struct {
    bool server;
    const char *bytes, *says;
} strangers[] = {
    {true, "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", "plain HTTP on a TLS port"},
    {true, "CONNECT x:443 HTTP/1.1\r\n\r\n", "a plain HTTP proxy request on a TLS port"},
    {true, "SSH-2.0-OpenSSH_9.2\r\n", "wrong version number (is that port TLS?)"},
    {true, "", "the peer closed the connection without ending TLS"},
    {true, "\x16\x03\x01", "the peer closed the connection without ending TLS"},
    {false, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "wrong version number (is that port TLS?)"},
    {false, "220 mail.example ESMTP\r\n", "wrong version number (is that port TLS?)"},
    {false, "", "the peer closed the connection without ending TLS"},
    {false, "\x15\x03\x03\x01\x02\x02\x28", NULL},
    {false, "\x15\x03\x03", "the peer closed the connection without ending TLS"},
};

START_TEST(strangers_are_recognised) {
    struct upstream_tls_config config = {.verify = false};
    SSL_CTX *ctx = strangers[_i].server ? server_context(&good) : client_context(&config);
    SSL *ssl = strangers[_i].server ? SSL_new(ctx) : tls_client_session(ctx, &config, "x");
    if (strangers[_i].server)
        SSL_set_accept_state(ssl);
    char says[160];
    if (strangers[_i].says) {
        feed(ssl, strangers[_i].bytes, strlen(strangers[_i].bytes), says);
        ck_assert_str_eq(says, strangers[_i].says);
    } else { /* an alert with NUL in its length */
        feed(ssl, "\x15\x03\x03\x00\x02\x02\x28", 7, says);
        ck_assert_str_eq(says, "the peer ended TLS with an alert (alert: handshake failure)");
    }
    ck_assert_uint_eq(ERR_peek_error(), 0); /* drained */
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}
END_TEST

/* ---- the end of a stream, and what the modes promise ---- */

START_TEST(truncation_is_not_an_end) {
    for (int clean = 0; clean <= 1; clean++) {
        struct upstream_tls_config config = {.verify = false};
        struct sides s;
        char bytes[16];
        shake(&s, server_context(&good), client_context(&config), &config, "api.example");
        ck_assert_int_eq(SSL_write(s.server, "last", 4), 4);
        if (clean)
            SSL_shutdown(s.server);
        BIO_shutdown_wr(SSL_get_wbio(s.server)); /* the FIN */
        ck_assert_int_eq(SSL_read(s.client, bytes, sizeof bytes), 4);
        ck_assert_mem_eq(bytes, "last", 4);
        ERR_clear_error();
        int rc = SSL_read(s.client, bytes, sizeof bytes);
        ck_assert_int_eq(SSL_get_error(s.client, rc), clean ? SSL_ERROR_ZERO_RETURN : SSL_ERROR_SSL);
        ck_assert(tls_was_truncated() == !clean);
        tls_error_text(s.client, s.client_says, sizeof s.client_says);
        ck_assert_str_eq(s.client_says, clean ? "the peer closed the TLS connection"
                                              : "the peer closed the connection without ending TLS");
        ck_assert(!tls_was_truncated());
        part(&s);
    }
}
END_TEST

START_TEST(system_errors_are_named) {
    char text[160];
    errno = ECONNRESET;
    ck_assert_str_eq(tls_error_text(NULL, text, sizeof text), "Connection reset by peer");
    errno = 0;
    ck_assert_str_eq(tls_error_text(NULL, text, sizeof text), "the connection was lost");
    ERR_raise(ERR_LIB_SYS, EPIPE);
    ck_assert_str_eq(tls_error_text(NULL, text, sizeof text), "Broken pipe");
    ERR_raise(ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER);
    ck_assert_str_eq(tls_error_text(NULL, text, 6), "wrong"); /* cut to size */
}
END_TEST

START_TEST(modes) {
    struct upstream_tls_config config = {.verify = false};
    SSL_CTX *both[] = {server_context(&good), client_context(&config)};
    for (size_t i = 0; i < 2; i++) {
        uint64_t options = SSL_CTX_get_options(both[i]);
        long mode = SSL_CTX_get_mode(both[i]);
        ck_assert(options & SSL_OP_NO_RENEGOTIATION);
        ck_assert(options & SSL_OP_NO_COMPRESSION);
        ck_assert(!(options & SSL_OP_IGNORE_UNEXPECTED_EOF));
        ck_assert(mode & SSL_MODE_RELEASE_BUFFERS);
        ck_assert(!(mode & SSL_MODE_ENABLE_PARTIAL_WRITE)); /* links count on whole writes */
        ck_assert(mode & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        ck_assert_int_eq(SSL_CTX_get_read_ahead(both[i]), 1);
        ck_assert_int_eq(SSL_CTX_get_min_proto_version(both[i]), TLS1_2_VERSION);
        SSL_CTX_free(both[i]);
    }
}
END_TEST

/* More than a record in one call. */
START_TEST(large_writes_are_whole) {
    enum { SIZE = 100000 };
    static char sent[SIZE], got[SIZE];
    struct upstream_tls_config config = {.verify = false};
    struct sides s;
    size_t written = 0, n = 0;
    memset(sent, 'x', sizeof sent);
    shake(&s, server_context(&good), client_context(&config), &config, "api.example");
    ck_assert_int_eq(SSL_write_ex(s.server, sent, sizeof sent, &written), 1);
    ck_assert_uint_eq(written, sizeof sent);
    for (size_t at = 0; at < sizeof got; at += n)
        ck_assert_int_eq(SSL_read_ex(s.client, got + at, sizeof got - at, &n), 1);
    ck_assert_mem_eq(sent, got, sizeof got);
    part(&s);
}
END_TEST

START_TEST(sessions_resume) {
    struct upstream_tls_config config = {.ca = ca.cert_path, .verify = true};
    struct sides s, again;
    shake(&s, server_context(&good), client_context(&config), &config, "api.example");
    SSL_SESSION *session = SSL_get1_session(s.client);
    ck_assert(SSL_SESSION_is_resumable(session));
    again = (struct sides){.server = SSL_new(s.server_context),
                           .client = tls_client_session(s.client_context, &config, "api.example")};
    SSL_set_accept_state(again.server);
    ck_assert_int_eq(SSL_set_session(again.client, session), 1);
    join(&again);
    for (int i = 0; i < 20; i++) {
        turn(again.client, again.client_says);
        turn(again.server, again.server_says);
    }
    ck_assert_int_eq(SSL_session_reused(again.server), 1);
    SSL_SESSION_free(session);
    SSL_free(again.server);
    SSL_free(again.client);
    part(&s);
}
END_TEST

/* ---- files ---- */

static char no_pem[64], missing[64], encrypted[64], rsa_small[64], combined[64], empty_dir[64];

static void make_odd_files(void) {
    in_dir(no_pem, "no-pem", "");
    in_dir(missing, "missing", "");
    in_dir(encrypted, "encrypted", "");
    in_dir(rsa_small, "rsa-small", "");
    in_dir(combined, "combined", "");
    in_dir(empty_dir, "empty", "");
    write_text(no_pem, "nothing to see\n");
    MUST(mkdir(empty_dir, 0700) == 0);
    BIO *file = BIO_new_file(encrypted, "w");
    MUST(PEM_write_bio_PKCS8PrivateKey(file, good.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL) == 1);
    BIO_free(file);
    file = BIO_new_file(combined, "w");
    MUST(PEM_write_bio_PrivateKey(file, good.key, NULL, NULL, 0, NULL, NULL) == 1);
    MUST(PEM_write_bio_X509(file, good.cert) == 1);
    BIO_free(file);
    EVP_PKEY *small = EVP_RSA_gen(1024);
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), DAY);
    X509_set_pubkey(cert, small);
    MUST(X509_sign(cert, small, EVP_sha256()) > 0);
    file = BIO_new_file(rsa_small, "w");
    MUST(PEM_write_bio_X509(file, cert) == 1);
    BIO_free(file);
    X509_free(cert);
    EVP_PKEY_free(small);
}

static const struct {
    const char *cert, *key;  /* of the server */
    const char *file, *text; /* the error's; text NULL: fine */
} pairs[] = {
    {good.cert_path, good.key_path, NULL, NULL},
    {combined, NULL, NULL, NULL},
    {combined, combined, NULL, NULL},
    {expired.cert_path, expired.key_path, NULL, NULL}, /* a warning only */
    {missing, good.key_path, missing, "cannot be read: No such file or directory"},
    {good.cert_path, missing, missing, "cannot be read: No such file or directory"},
    {empty_dir, good.key_path, empty_dir, "is a directory"},
    {no_pem, good.key_path, no_pem, "no certificate in PEM form"},
    {good.cert_path, no_pem, no_pem, "private key"},
    {good.cert_path, NULL, good.cert_path, "private key"},
    {good.key_path, good.cert_path, good.key_path, "no certificate in PEM form"},
    {good.cert_path, expired.key_path, expired.key_path, "this key does not belong to the certificate in "},
    {good.cert_path, encrypted, encrypted, "the private key is encrypted"},
    {rsa_small, good.key_path, rsa_small, "too small"},
    {NULL, good.key_path, "", "tls.cert_path is missing"},
};

START_TEST(server_files) {
    struct server_tls_config config = {true, (char *)pairs[_i].cert, (char *)pairs[_i].key};
    char fingerprint[TLS_FINGERPRINT_LEN];
    struct err err;
    bool self_signed = true;
    SSL_CTX *ctx;
    int rc = tls_server_context(&config, NULL, &ctx, fingerprint, &self_signed, &err);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    if (pairs[_i].text) {
        ck_assert_int_eq(rc, MF_EINVAL);
        ck_assert_ptr_null(ctx);
        ck_assert_str_eq(err.file, pairs[_i].file);
        ck_assert_msg(strstr(err.text, pairs[_i].text) != NULL, "said: %s", err.text);
        return;
    }
    ck_assert_int_eq(rc, MF_OK);
    ck_assert(!self_signed);
    ck_assert_uint_eq(strlen(fingerprint), TLS_FINGERPRINT_LEN - 1);
    ck_assert_uint_eq(strspn(fingerprint, "0123456789ABCDEF:"), TLS_FINGERPRINT_LEN - 1);
    SSL_CTX_free(ctx);
}
END_TEST

START_TEST(client_files) {
    static const struct {
        const char *ca, *cert, *key, *file, *text;
    } cases[] = {
        {ca.cert_path, NULL, NULL, NULL, NULL},
        {ca.cert_path, client.cert_path, client.key_path, NULL, NULL},
        {ca.cert_path, combined, NULL, NULL, NULL},
        {missing, NULL, NULL, missing, "cannot be read"},
        {no_pem, NULL, NULL, no_pem, "certificate"},
        {ca.key_path, NULL, NULL, ca.key_path, "certificate"},
        {empty_dir, NULL, NULL, empty_dir, "openssl rehash"},
        {ca.cert_path, missing, client.key_path, missing, "cannot be read"},
        {ca.cert_path, client.cert_path, good.key_path, good.key_path, "does not belong"},
        {ca.cert_path, NULL, client.key_path, "", "upstream_tls.cert is missing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct upstream_tls_config config = {
            .ca = (char *)cases[i].ca, .cert = (char *)cases[i].cert, .key = (char *)cases[i].key, .verify = true};
        struct err err;
        SSL_CTX *ctx;
        int rc = tls_client_context(&config, &ctx, &err);
        ck_assert_uint_eq(ERR_peek_error(), 0);
        if (cases[i].text) {
            ck_assert_int_eq(rc, MF_EINVAL);
            ck_assert_str_eq(err.file, cases[i].file);
            ck_assert_msg(strstr(err.text, cases[i].text) != NULL, "said: %s", err.text);
        } else {
            ck_assert_msg(rc == MF_OK, "%s", err.text);
        }
        SSL_CTX_free(ctx);
    }
}
END_TEST

START_TEST(empty_system_store) {
    struct upstream_tls_config config = {.verify = true};
    struct err err;
    SSL_CTX *ctx;
    setenv("SSL_CERT_FILE", missing, 1);
    setenv("SSL_CERT_DIR", empty_dir, 1);
    ck_assert_int_eq(tls_client_context(&config, &ctx, &err), MF_ENOTFOUND);
    ck_assert_ptr_nonnull(strstr(err.text, "install ca-certificates"));
    ck_assert_ptr_nonnull(strstr(err.text, empty_dir));

    char hashed[96], dirs[160];
    snprintf(hashed, sizeof hashed, "%s/0a1b2c3d.0", empty_dir);
    write_text(hashed, "");
    snprintf(dirs, sizeof dirs, "/nonexistent:%s", empty_dir);
    setenv("SSL_CERT_DIR", dirs, 1);
    ck_assert_int_eq(tls_client_context(&config, &ctx, &err), MF_OK);
    SSL_CTX_free(ctx);
    unlink(hashed);

    setenv("SSL_CERT_DIR", empty_dir, 1);
    config.verify = false; /* needs none */
    ck_assert_int_eq(tls_client_context(&config, &ctx, &err), MF_OK);
    SSL_CTX_free(ctx);
}
END_TEST

/* ---- the self-signed certificate ---- */

static char state[80];

static void wipe_state(void) {
    static const char *const names[] = {"/cert.pem", "/key.pem", "/lock", ""};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", state, names[i]);
        remove(path);
    }
}

static int own_context(SSL_CTX **ctx, char *fingerprint, struct err *err) {
    struct server_tls_config config = {.enabled = true};
    bool self_signed = false;
    int rc = tls_server_context(&config, state, ctx, fingerprint, &self_signed, err);
    ck_assert(rc < 0 || self_signed);
    return rc;
}

static mode_t mode_of(const char *name) {
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s%s", state, name);
    ck_assert_msg(stat(path, &st) == 0, "%s is missing", path);
    return st.st_mode & 07777;
}

START_TEST(self_signed_is_made_and_kept) {
    struct err err;
    SSL_CTX *ctx;
    char first[TLS_FINGERPRINT_LEN], second[TLS_FINGERPRINT_LEN], path[128];
    umask(0);
    ck_assert_msg(own_context(&ctx, first, &err) == MF_OK, "%s: %s", err.file, err.text);
    ck_assert_uint_eq(mode_of(""), 0700);
    ck_assert_uint_eq(mode_of("/key.pem"), 0600);
    ck_assert_uint_eq(mode_of("/cert.pem"), 0600);

    X509 *cert = SSL_CTX_get0_certificate(ctx);
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    ck_assert_int_eq(X509_check_host(cert, "localhost", 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL), 1);
    ck_assert_int_eq(X509_check_host(cert, "example.com", 0, 0, NULL), 0);
    ck_assert_int_eq(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    ck_assert_int_eq(X509_check_ip_asc(cert, "::1", 0), 1);
    if (!strpbrk(host, "_ "))
        ck_assert_int_eq(X509_check_host(cert, host, 0, 0, NULL), 1);
    int days, seconds;
    ck_assert_int_eq(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(cert), X509_get0_notAfter(cert)), 1);
    ck_assert_int_le(days, 825);
    ck_assert_int_gt(days, 820);
    ck_assert_int_eq(EVP_PKEY_get_bits(X509_get0_pubkey(cert)), 256);

    /* A client that trusts this file, and nothing else, accepts it. */
    struct sides s;
    snprintf(path, sizeof path, "%s/cert.pem", state);
    struct upstream_tls_config config = {.ca = path, .verify = true};
    shake(&s, ctx, client_context(&config), &config, "localhost");
    ck_assert_str_eq(s.client_says, "");
    part(&s);

    ck_assert_int_eq(own_context(&ctx, second, &err), MF_OK);
    ck_assert_str_eq(first, second);
    SSL_CTX_free(ctx);
    wipe_state();
}
END_TEST

static void break_pair(int how) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", state, how == 1 ? "key.pem" : "cert.pem");
    if (how == 0) {
        unlink(path);
    } else if (how == 1) { /* killed between the two */
        BIO *file = BIO_new_file(path, "w");
        MUST(PEM_write_bio_PrivateKey(file, good.key, NULL, NULL, 0, NULL, NULL) == 1);
        BIO_free(file);
    } else {
        write_text(path, how == 2 ? "" : "garbage");
    }
}

START_TEST(self_signed_is_mended) {
    struct err err;
    SSL_CTX *ctx;
    char first[TLS_FINGERPRINT_LEN], second[TLS_FINGERPRINT_LEN];
    ck_assert_int_eq(own_context(&ctx, first, &err), MF_OK);
    SSL_CTX_free(ctx);
    break_pair(_i);
    ck_assert_int_eq(own_context(&ctx, second, &err), MF_OK);
    SSL_CTX_free(ctx);
    ck_assert_str_ne(first, second);
    wipe_state();
}
END_TEST

START_TEST(self_signed_is_renewed) {
    struct err err;
    struct self_signed_paths paths;
    char first[TLS_FINGERPRINT_LEN], later[TLS_FINGERPRINT_LEN];
    SSL_CTX *ctx;
    uint64_t us = (uint64_t)clock_wall_us();
    ck_assert_int_eq(own_context(&ctx, first, &err), MF_OK);
    SSL_CTX_free(ctx);
    us += (uint64_t)(823 * DAY) * 1000000; /* a day and 22 hours are left */
    clock_set_fake(&us);
    ck_assert_int_eq(self_signed_ensure(state, &paths, &err), MF_OK);
    ck_assert_int_eq(own_context(&ctx, later, &err), MF_OK);
    SSL_CTX_free(ctx);
    ck_assert_str_eq(first, later);
    us += (uint64_t)DAY * 1000000;
    ck_assert_int_eq(own_context(&ctx, later, &err), MF_OK);
    SSL_CTX_free(ctx);
    ck_assert_str_ne(first, later);
    wipe_state();
}
END_TEST

START_TEST(self_signed_together) {
    enum { PROCESSES = 8 };
    int results[2];
    ck_assert_int_eq(pipe(results), 0);
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid > 0)
            continue;
        struct err err;
        SSL_CTX *ctx;
        char fingerprint[TLS_FINGERPRINT_LEN] = "";
        struct server_tls_config config = {.enabled = true};
        if (tls_server_context(&config, state, &ctx, fingerprint, NULL, &err) < 0)
            snprintf(fingerprint, sizeof fingerprint, "failed: %.60s", err.text);
        _exit(write(results[1], fingerprint, sizeof fingerprint) == (ssize_t)sizeof fingerprint ? 0 : 1);
    }
    char first[TLS_FINGERPRINT_LEN], next[TLS_FINGERPRINT_LEN];
    for (int i = 0; i < PROCESSES; i++) {
        ck_assert_int_eq(read(results[0], next, sizeof next), (ssize_t)sizeof next);
        if (i == 0)
            memcpy(first, next, sizeof first);
        ck_assert_str_eq(next, first);
    }
    while (wait(NULL) > 0)
        ;
    ck_assert_uint_eq(strlen(first), TLS_FINGERPRINT_LEN - 1);
    wipe_state();
}
END_TEST

START_TEST(self_signed_without_a_place) {
    struct err err;
    struct self_signed_paths paths;
    char below_a_file[96];
    snprintf(below_a_file, sizeof below_a_file, "%s/state", no_pem);
    ck_assert_int_eq(self_signed_ensure(below_a_file, &paths, &err), MF_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "MOCKFORGE_STATE_DIR"));
    ck_assert_int_eq(self_signed_ensure("", &paths, &err), MF_EINVAL);
}
END_TEST

START_TEST(state_directories) {
    static const struct {
        const char *own, *xdg, *home, *dir;
    } cases[] = {
        {"/a", "/b", "/c", "/a"},
        {"", "/b", "/c", "/b/mockforge"},
        {NULL, "/b", "/c", "/b/mockforge"},
        {NULL, "b", "/c", "/c/.local/state/mockforge"},
        {NULL, NULL, "/c", "/c/.local/state/mockforge"},
        {NULL, NULL, NULL, ".mockforge"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *names[] = {"MOCKFORGE_STATE_DIR", "XDG_STATE_HOME", "HOME"};
        const char *values[] = {cases[i].own, cases[i].xdg, cases[i].home};
        for (size_t k = 0; k < 3; k++)
            if (values[k])
                setenv(names[k], values[k], 1);
            else
                unsetenv(names[k]);
        char *got = tls_state_dir();
        ck_assert_str_eq(got, cases[i].dir);
        free(got);
    }
}
END_TEST

int main(void) {
    log_set_level(LOG_ERROR); /* expired certificates warn */
    MUST(mkdtemp(dir));
    make_pair(&ca, "ca", NULL, NULL, -DAY, DAY);
    make_pair(&other_ca, "other-ca", NULL, NULL, -DAY, DAY);
    make_pair(&good, "good", &ca, "DNS:api.example,IP:127.0.0.1,IP:::1,IP:fe80::1", -DAY, DAY);
    make_pair(&expired, "expired", &ca, "DNS:api.example", -2 * DAY, -DAY);
    make_pair(&early, "early", &ca, "DNS:api.example", DAY, 2 * DAY);
    make_pair(&wildcard, "wildcard", &ca, "DNS:*.api.example", -DAY, DAY);
    make_pair(&partial, "partial", &ca, "DNS:a*.api.example", -DAY, DAY);
    make_pair(&client, "client", &ca, NULL, -DAY, DAY);
    make_odd_files();
    snprintf(state, sizeof state, "%s/a/b/state", dir);

    Suite *s = suite_create("tls");
    TCase *t = tcase_create("tls");
    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, verifies, 0, (int)ARRAY_LEN(handshakes));
    tcase_add_test(t, names_the_server);
    tcase_add_test(t, client_certificates);
    tcase_add_test(t, old_versions_are_refused);
    tcase_add_test(t, tls_12_works);
    tcase_add_test(t, h2_only_is_told_so);
    tcase_add_loop_test(t, strangers_are_recognised, 0, (int)ARRAY_LEN(strangers));
    tcase_add_test(t, truncation_is_not_an_end);
    tcase_add_test(t, system_errors_are_named);
    tcase_add_test(t, modes);
    tcase_add_test(t, large_writes_are_whole);
    tcase_add_test(t, sessions_resume);
    tcase_add_loop_test(t, server_files, 0, (int)ARRAY_LEN(pairs));
    tcase_add_test(t, client_files);
    tcase_add_test(t, empty_system_store);
    tcase_add_test(t, self_signed_is_made_and_kept);
    tcase_add_loop_test(t, self_signed_is_mended, 0, 4);
    tcase_add_test(t, self_signed_is_renewed);
    tcase_add_test(t, self_signed_together);
    tcase_add_test(t, self_signed_without_a_place);
    tcase_add_test(t, state_directories);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);

    struct pair *made[] = {&ca, &other_ca, &good, &expired, &early, &wildcard, &partial, &client};
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        free_pair(made[i]);
    wipe_state();
    const char *odd[] = {no_pem, encrypted, rsa_small, combined, empty_dir};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        remove(odd[i]);
    char parent[80];
    in_dir(parent, "a/b", "");
    rmdir(parent);
    in_dir(parent, "a", "");
    rmdir(parent);
    rmdir(dir);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
