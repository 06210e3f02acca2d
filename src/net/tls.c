#include "net/tls.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "net/self_signed.h"
#include "net/tls_pem.h"

/* What one read from the socket may bring in: four full records. OpenSSL allocates it when there is something to read
 * and, with SSL_MODE_RELEASE_BUFFERS, frees it when all of it has been taken: an idle connection holds 15 KiB with it
 * or without it (95 without that mode). A read of 32 small records costs 1.8 us each, 4.9 us without read-ahead. */
#define READ_BUFFER ((size_t)64 * 1024)

#define ALPN "\x08http/1.1" /* RFC 7301: length, name */
#define NAME_MAX_BYTES 255

/* TLS 1.2 with forward secrecy and AEAD only (RFC 9325 section 4.2). What we serve is new; the upstreams that we are a
 * client of may be old, so clients keep OpenSSL's own list. */
#define SERVER_CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define SERVER_CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384" /* cheapest first */

static int no_context(struct err *err, const char *what) {
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    err_set(err, MF_ENOMEM, "cannot set up TLS (%s): %s", what, reason ? reason : "out of memory");
    ERR_clear_error();
    return MF_ENOMEM;
}

static int new_context(const SSL_METHOD *method, SSL_CTX **out, struct err *err) {
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(method);
    *out = ctx;
    if (!ctx)
        return no_context(err, "context");
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    /* Not SSL_MODE_ENABLE_PARTIAL_WRITE: the link's BIO takes whatever it is given, and SSL_write would stop after each
     * record for nothing. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, READ_BUFFER);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 || SSL_CTX_set1_groups_list(ctx, GROUPS) != 1)
        return no_context(err, "versions and groups");
    return MF_OK;
}

/* ---- server ---- */

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *offered,
                       unsigned int offered_len, void *unused) {
    (void)ssl, (void)unused;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, (const unsigned char *)ALPN, sizeof ALPN - 1, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 section 3.2: a client that only speaks h2 learns it here */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int server_defaults(SSL_CTX *ctx, struct err *err) {
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* Clients resume with tickets, which cost us no memory; the cache would hold 20,480 sessions. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    if (SSL_CTX_set_cipher_list(ctx, SERVER_CIPHERS_12) != 1 || SSL_CTX_set_ciphersuites(ctx, SERVER_CIPHERS_13) != 1)
        return no_context(err, "ciphers");
    return MF_OK;
}

static int write_fingerprint(const X509 *cert, char out[TLS_FINGERPRINT_LEN], struct err *err) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;
    if (X509_digest(cert, EVP_sha256(), digest, &len) != 1 || len * 3 != TLS_FINGERPRINT_LEN)
        return no_context(err, "fingerprint");
    for (unsigned i = 0; i < len; i++)
        snprintf(out + (size_t)i * 3, 4, "%02X%s", digest[i], i + 1 < len ? ":" : "");
    return MF_OK;
}

static int use_self_signed(SSL_CTX *ctx, const char *state_dir, struct err *err) {
    struct self_signed_paths paths;
    char *own = state_dir ? NULL : tls_state_dir();
    if (!state_dir && !own)
        return err_set(err, MF_ENOMEM, "out of memory");
    int rc = self_signed_ensure(state_dir ? state_dir : own, &paths, err);
    free(own);
    return rc < 0 ? rc : tls_use_pair(ctx, paths.cert, paths.key, err);
}

int tls_server_context(const struct server_tls_config *config, const char *state_dir, SSL_CTX **out,
                       char fingerprint[TLS_FINGERPRINT_LEN], bool *self_signed, struct err *err) {
    SSL_CTX *ctx = NULL;
    bool own = !config->cert_path && !config->key_path;
    *out = NULL;
    if (config->key_path && !config->cert_path)
        return err_set(err, MF_EINVAL, "tls.key_path is given, tls.cert_path is missing");
    int rc = new_context(TLS_server_method(), &ctx, err);
    if (rc == MF_OK)
        rc = server_defaults(ctx, err);
    if (rc == MF_OK)
        rc = own ? use_self_signed(ctx, state_dir, err) : tls_use_pair(ctx, config->cert_path, config->key_path, err);
    if (rc == MF_OK && fingerprint)
        rc = write_fingerprint(SSL_CTX_get0_certificate(ctx), fingerprint, err);
    if (rc < 0) {
        SSL_CTX_free(ctx);
        return rc;
    }
    if (self_signed)
        *self_signed = own;
    *out = ctx;
    return MF_OK;
}

/* ---- client ---- */

/* Does one of the directories (parted by ':') hold a file named as X509_LOOKUP_hash_dir looks for it, "5ad8a5d6.0"? */
static bool has_hashed_certificate(const char *directories) {
    char path[4096];
    bool found = false;
    for (const char *p = directories; *p && !found; p += strspn(p, ":")) {
        size_t len = strcspn(p, ":");
        snprintf(path, sizeof path, "%.*s", (int)MIN(len, sizeof path - 1), p);
        p += len;
        DIR *dir = opendir(path);
        // cppcheck-suppress readdirCalled ; a stream of our own, which readdir(3) says is safe
        for (struct dirent *e; dir && !found && (e = readdir(dir));)
            found = strspn(e->d_name, "0123456789abcdef") == 8 && e->d_name[8] == '.';
        if (dir)
            closedir(dir);
    }
    return found;
}

static int use_system_store(SSL_CTX *ctx, struct err *err) {
    if (SSL_CTX_set_default_verify_paths(ctx) != 1)
        return no_context(err, "system certificates");
    ERR_clear_error(); /* a default file that is missing leaves something there */
    const char *file = getenv(X509_get_default_cert_file_env()), *dir = getenv(X509_get_default_cert_dir_env());
    if (!dir)
        dir = X509_get_default_cert_dir();
    if (!file)
        file = X509_get_default_cert_file();
    if (sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx))) > 0 || has_hashed_certificate(dir))
        return MF_OK;
    return err_set(err, MF_ENOTFOUND,
                   "the system has no CA certificates to verify upstreams with (none in %s, none in %s): install "
                   "ca-certificates, set SSL_CERT_FILE or SSL_CERT_DIR, or give upstream_tls.ca",
                   file, dir);
}

static int use_ca(SSL_CTX *ctx, const char *path, struct err *err) {
    struct stat st;
    int rc = tls_check_file(path, true, err);
    if (rc < 0)
        return rc;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (!has_hashed_certificate(path))
            return err_set_at(err, MF_EINVAL, path, 0, 0,
                              "no hashed certificates in this directory: `openssl rehash` it");
        if (SSL_CTX_load_verify_dir(ctx, path) != 1)
            return tls_file_error(err, path, "directory of certificates");
    } else if (SSL_CTX_load_verify_file(ctx, path) != 1) {
        return tls_file_error(err, path, "certificate");
    }
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    return MF_OK;
}

static int client_settings(SSL_CTX *ctx, const struct upstream_tls_config *config, struct err *err) {
    if (SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)ALPN, sizeof ALPN - 1) != 0) /* 0 is success here */
        return no_context(err, "ALPN");
    SSL_CTX_set_verify(ctx, config->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    int rc = MF_OK;
    if (config->ca)
        rc = use_ca(ctx, config->ca, err);
    else if (config->verify)
        rc = use_system_store(ctx, err);
    if (rc == MF_OK && config->cert)
        rc = tls_use_pair(ctx, config->cert, config->key, err);
    return rc;
}

int tls_client_context(const struct upstream_tls_config *config, SSL_CTX **out, struct err *err) {
    SSL_CTX *ctx = NULL;
    *out = NULL;
    if (config->key && !config->cert)
        return err_set(err, MF_EINVAL, "upstream_tls.key is given, upstream_tls.cert is missing");
    int rc = new_context(TLS_client_method(), &ctx, err);
    if (rc == MF_OK)
        rc = client_settings(ctx, config, err);
    if (rc < 0)
        SSL_CTX_free(ctx);
    else
        *out = ctx;
    return rc;
}

/* The name as certificates and SNI spell it: no brackets, scope or trailing dot (RFC 6066 section 3). */
static void plain_name(const char *host, char out[NAME_MAX_BYTES + 1]) {
    snprintf(out, NAME_MAX_BYTES + 1, "%s", host + (host[0] == '['));
    out[strcspn(out, "]%")] = '\0';
    size_t len = strlen(out);
    if (len > 0 && out[len - 1] == '.')
        out[len - 1] = '\0';
}

static bool is_address(const char *name) {
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

SSL *tls_client_session(SSL_CTX *ctx, const struct upstream_tls_config *config, const char *host) {
    char name[NAME_MAX_BYTES + 1];
    SSL *ssl = SSL_new(ctx);
    if (!ssl)
        return NULL;
    plain_name(config->server_name ? config->server_name : host, name);
    bool fine;
    if (is_address(name)) {
        fine = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    } else {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        fine = SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
    }
    if (!fine) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

/* ---- state ---- */

char *tls_state_dir(void) {
    const char *own = getenv("MOCKFORGE_STATE_DIR"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    struct buf path = BUF_INIT;
    if (own && *own)
        buf_puts(&path, own);
    else if (state && *state == '/') /* the XDG specification has relative paths ignored */
        buf_printf(&path, "%s/mockforge", state);
    else if (home && *home)
        buf_printf(&path, "%s/.local/state/mockforge", home);
    else
        buf_puts(&path, ".mockforge");
    return buf_steal(&path);
}
