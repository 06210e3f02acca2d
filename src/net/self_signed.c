#include "net/self_signed.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/rng.h"

#define HOUR 3600L
#define DAY (24 * HOUR)
#define VALID_DAYS 825 /* the longest that Apple's systems take from a certificate that the user has added */
#define SERIAL_BYTES 16
#define HOST_NAME_MAX_BYTES 253

/* ---- making one ---- */

static bool is_host_name(const char *name) {
    if (!*name || !strcmp(name, "localhost") || strlen(name) > HOST_NAME_MAX_BYTES)
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '.')
            return false;
    return true;
}

static bool add_extension(X509 *cert, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool fine = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return fine;
}

static bool add_names(X509 *cert) {
    char host[HOST_NAME_MAX_BYTES + 2] = "", names[HOST_NAME_MAX_BYTES + 64];
    if (gethostname(host, sizeof host - 1) < 0 || !is_host_name(host))
        host[0] = '\0';
    snprintf(names, sizeof names, "DNS:localhost,IP:127.0.0.1,IP:::1%s%s", *host ? ",DNS:" : "", host);
    return add_extension(cert, NID_subject_alt_name, names);
}

static bool set_serial(X509 *cert) {
    unsigned char bytes[SERIAL_BYTES];
    rng_secure(bytes, sizeof bytes);
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive and not short (RFC 5280 section 4.1.2.2) */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool fine = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return fine;
}

/* No CA: a certificate that signs others does not pass as a server's everywhere. It is its own issuer, so that
 * clients can be told to trust it alone. */
static X509 *make_certificate(EVP_PKEY *key) {
    X509 *cert = X509_new();
    time_t now = (time_t)(clock_wall_us() / 1000000);
    bool fine = cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
                X509_time_adj(X509_getm_notBefore(cert), -HOUR, &now) && /* clocks differ */
                X509_time_adj(X509_getm_notAfter(cert), (long)VALID_DAYS * DAY - 2 * HOUR, &now) &&
                X509_set_pubkey(cert, key) == 1;
    if (fine) {
        X509_NAME *name = X509_get_subject_name(cert);
        fine =
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0) == 1 &&
            X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"mockforge", -1, -1, 0) == 1 &&
            X509_set_issuer_name(cert, name) == 1;
    }
    fine = fine && add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
           add_extension(cert, NID_ext_key_usage, "serverAuth") && add_names(cert) &&
           add_extension(cert, NID_subject_key_identifier, "hash") &&
           add_extension(cert, NID_authority_key_identifier, "keyid:always") && X509_sign(cert, key, EVP_sha256()) > 0;
    if (!fine) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* ---- keeping it ---- */

static int write_pem(BIO *pem, const char *path, struct err *err) {
    char temporary[PATH_MAX + 8];
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    int fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return err_set_at(err, MF_EIO, path, 0, 0, "cannot be written: %s", strerror(errno));
    char *data;
    long len = BIO_get_mem_data(pem, &data);
    errno = 0;
    bool fine = write(fd, data, (size_t)len) == len && fsync(fd) == 0;
    int why = errno;
    close(fd);
    if (fine && rename(temporary, path) == 0)
        return MF_OK;
    if (fine)
        why = errno;
    unlink(temporary);
    return err_set_at(err, MF_EIO, path, 0, 0, "cannot be written: %s", why ? strerror(why) : "disk full");
}

static int make_pair(const struct self_signed_paths *paths, struct err *err) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? make_certificate(key) : NULL;
    BIO *key_pem = BIO_new(BIO_s_mem()), *cert_pem = BIO_new(BIO_s_mem());
    int rc;
    if (!cert || !key_pem || !cert_pem || PEM_write_bio_PKCS8PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_X509(cert_pem, cert) != 1)
        rc = err_set(err, MF_ENOMEM, "cannot make a self-signed certificate");
    else if ((rc = write_pem(key_pem, paths->key, err)) == MF_OK)
        rc = write_pem(cert_pem, paths->cert,
                       err); /* a kill in between leaves a pair that does not match: see is_good() */
    BIO_free(key_pem);
    BIO_free(cert_pem);
    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return rc;
}

/* Nobody types a passphrase here, and without a callback OpenSSL would ask the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *unused) {
    (void)buf, (void)size, (void)writing, (void)unused;
    return -1;
}

/* Is there a pair that belongs together and is valid for another day? */
static bool is_good(const struct self_signed_paths *paths) {
    BIO *cert_file = BIO_new_file(paths->cert, "r"), *key_file = BIO_new_file(paths->key, "r");
    X509 *cert = cert_file ? PEM_read_bio_X509(cert_file, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = key_file ? PEM_read_bio_PrivateKey(key_file, NULL, no_passphrase, NULL) : NULL;
    time_t tomorrow = (time_t)(clock_wall_us() / 1000000) + DAY;
    bool good =
        cert && key && X509_check_private_key(cert, key) == 1 && X509_cmp_time(X509_get0_notAfter(cert), &tomorrow) > 0;
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(key_file);
    BIO_free(cert_file);
    ERR_clear_error();
    return good;
}

/* mkdir -p; what we create is ours alone. */
static int make_directories(const char *dir, struct err *err) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", dir);
    for (char *p = path + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char kept = *p;
        *p = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return err_set_at(err, MF_EIO, path, 0, 0,
                              "cannot make this directory for the self-signed certificate: %s (MOCKFORGE_STATE_DIR "
                              "names another)",
                              strerror(errno));
        *p = kept;
        if (!kept)
            return MF_OK;
    }
}

int self_signed_ensure(const char *dir, struct self_signed_paths *paths, struct err *err) {
    char lock_path[PATH_MAX];
    if (!*dir || strlen(dir) > PATH_MAX - 32)
        return err_set(err, MF_EINVAL, "bad name for the directory of the self-signed certificate");
    snprintf(paths->cert, sizeof paths->cert, "%s/cert.pem", dir);
    snprintf(paths->key, sizeof paths->key, "%s/key.pem", dir);
    snprintf(lock_path, sizeof lock_path, "%s/lock", dir);
    int rc = make_directories(dir, err);
    if (rc < 0)
        return rc;
    if (is_good(paths)) /* the usual case, which works in a read-only directory */
        return MF_OK;
    int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        return err_set_at(err, MF_EIO, lock_path, 0, 0,
                          "cannot be written: %s (MOCKFORGE_STATE_DIR names another directory)", strerror(errno));
    /* Held for a millisecond. File systems without locks are left to luck: renames keep each file whole. */
    (void)flock(lock, LOCK_EX);
    rc = is_good(paths) ? MF_OK : make_pair(paths, err);
    close(lock);
    return rc;
}
