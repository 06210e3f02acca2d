#include "net/tls_pem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

int tls_check_file(const char *path, bool directories, struct err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_at(err, MF_EINVAL, path, 0, 0, "cannot be read: %s", strerror(errno));
    bool is_directory = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    close(fd);
    if (is_directory && !directories)
        return err_set_at(err, MF_EINVAL, path, 0, 0, "is a directory, a PEM file is needed");
    return MF_OK;
}

int tls_file_error(struct err *err, const char *path, const char *what) {
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);
    int rc;
    if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
        rc = err_set_at(err, MF_EINVAL, path, 0, 0, "no %s in PEM form in this file", what);
    else
        rc = err_set_at(err, MF_EINVAL, path, 0, 0, "cannot use this %s: %s", what, reason ? reason : "unknown reason");
    ERR_clear_error();
    return rc;
}

static void warn_of_dates(const X509 *cert, const char *path) {
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        log_warn("tls_certificate_expired", "file=%s", log_quote(path));
    else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        log_warn("tls_certificate_not_yet_valid", "file=%s", log_quote(path));
}

static int refuse_passphrase(char *buf, int size, int writing, void *asked) {
    (void)buf, (void)size, (void)writing;
    *(bool *)asked = true;
    return -1;
}

static int read_key(const char *path, EVP_PKEY **out, struct err *err) {
    int rc = tls_check_file(path, false, err);
    if (rc < 0)
        return rc;
    bool encrypted = false;
    BIO *file = BIO_new_file(path, "r");
    *out = file ? PEM_read_bio_PrivateKey(file, NULL, refuse_passphrase, &encrypted) : NULL;
    BIO_free(file);
    if (*out)
        return MF_OK;
    if (!encrypted)
        return tls_file_error(err, path, "private key");
    ERR_clear_error();
    return err_set_at(err, MF_EINVAL, path, 0, 0,
                      "the private key is encrypted; `openssl pkey -in FILE -out FILE` writes it without a passphrase");
}

int tls_use_pair(SSL_CTX *ctx, const char *cert_path, const char *key_path, struct err *err) {
    EVP_PKEY *key = NULL;
    if (!key_path)
        key_path = cert_path;
    ERR_clear_error();
    int rc = tls_check_file(cert_path, false, err);
    if (rc == MF_OK && SSL_CTX_use_certificate_chain_file(ctx, cert_path) != 1)
        rc = tls_file_error(err, cert_path, "certificate");
    if (rc == MF_OK)
        rc = read_key(key_path, &key, err);
    if (rc == MF_OK) {
        X509 *cert = SSL_CTX_get0_certificate(ctx);
        if (X509_check_private_key(cert, key) != 1)
            rc = err_set_at(err, MF_EINVAL, key_path, 0, 0, "this key does not belong to the certificate in %s",
                            cert_path);
        else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
            rc = tls_file_error(err, key_path, "private key");
        else
            warn_of_dates(cert, cert_path);
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return rc;
}
