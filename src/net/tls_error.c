/* OpenSSL's errors in words for the log and the 502 body. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

#include "net/tls.h"

static const struct {
    int reason; /* SSL_R_* */
    const char *text;
} reasons[] = {
    {SSL_R_WRONG_VERSION_NUMBER, "wrong version number (is that port TLS?)"},
    {SSL_R_PACKET_LENGTH_TOO_LONG, "not a TLS record (is that port TLS?)"},
    {SSL_R_HTTP_REQUEST, "plain HTTP on a TLS port"},
    {SSL_R_HTTPS_PROXY_REQUEST, "a plain HTTP proxy request on a TLS port"},
    {SSL_R_UNEXPECTED_EOF_WHILE_READING, "the peer closed the connection without ending TLS"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "the peer speaks no TLS version from 1.2 up"},
    {SSL_R_UNKNOWN_PROTOCOL, "the peer speaks no TLS version from 1.2 up"},
    {SSL_R_NO_SHARED_CIPHER, "no cipher in common with the peer"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, "no key exchange group in common with the peer"},
    {SSL_R_DH_KEY_TOO_SMALL, "the peer's Diffie-Hellman key is too small"},
    {SSL_R_EE_KEY_TOO_SMALL, "the peer's key is too small"},
    {SSL_R_NO_RENEGOTIATION, "the peer wanted to renegotiate"},
};

static const char *reason_text(int reason) {
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].reason == reason)
            return reasons[i].text;
    return NULL;
}

static const char *verify_text(SSL *ssl, char *out, size_t size) {
    long result = SSL_get_verify_result(ssl);
    const char *why = X509_verify_cert_error_string(result);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (result == X509_V_ERR_HOSTNAME_MISMATCH) {
        const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
        snprintf(out, size, "certificate verify failed: it is not for %s", host ? host : "this host");
    } else if (result == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        char *address = X509_VERIFY_PARAM_get1_ip_asc(param), brief[INET6_ADDRSTRLEN];
        struct in6_addr bytes; /* OpenSSL writes ::1 with all its zeros */
        bool v6 =
            address && inet_pton(AF_INET6, address, &bytes) == 1 && inet_ntop(AF_INET6, &bytes, brief, sizeof brief);
        snprintf(out, size, "certificate verify failed: it is not for %s",
                 v6        ? brief
                 : address ? address
                           : "this address");
        OPENSSL_free(address);
    } else {
        snprintf(out, size, "certificate verify failed: %s", why);
    }
    return out;
}

/* What the peer says is wrong (RFC 8446 section 6.2). */
static const char *alert_text(SSL *ssl, int alert, char *out, size_t size) {
    const char *meaning;
    char name[64];
    snprintf(name, sizeof name, "%s", SSL_alert_desc_string_long(alert));
    if (!strcmp(name, "unknown")) /* OpenSSL 3.0 does not name all of TLS 1.3's */
        snprintf(name, sizeof name, "%d", alert);
    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
        meaning = ssl && SSL_is_server(ssl) ? "the client does not accept the server's certificate"
                                            : "the server does not accept the client certificate";
        break;
    case SSL_AD_CERTIFICATE_REQUIRED:
        meaning = "the server wants a client certificate";
        break;
    case SSL_AD_UNRECOGNIZED_NAME:
        meaning = "the server does not serve that name";
        break;
    case SSL_AD_PROTOCOL_VERSION:
        meaning = "the peer speaks no TLS version from 1.2 up";
        break;
    default:
        meaning = "the peer ended TLS with an alert";
    }
    snprintf(out, size, "%s (alert: %s)", meaning, name);
    return out;
}

static const char *queue_text(SSL *ssl, unsigned long code, char *out, size_t size) {
    int reason = ERR_GET_REASON(code);
    if (ERR_SYSTEM_ERROR(code)) {
        snprintf(out, size, "%s", strerror(reason));
        return out;
    }
    if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && ssl && SSL_get_verify_result(ssl) != X509_V_OK)
            return verify_text(ssl, out, size);
        if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255)
            return alert_text(ssl, reason - SSL_AD_REASON_OFFSET, out, size);
    }
    const char *known = ERR_GET_LIB(code) == ERR_LIB_SSL ? reason_text(reason) : NULL;
    const char *theirs = ERR_reason_error_string(code);
    if (known || theirs)
        snprintf(out, size, "%s", known ? known : theirs);
    else
        snprintf(out, size, "TLS error %08lX", code);
    return out;
}

const char *tls_error_text(SSL *ssl, char *out, size_t size) {
    int saved = errno;
    unsigned long code = ERR_peek_error(); /* the oldest is the cause, what follows are its consequences */
    if (code)
        queue_text(ssl, code, out, size);
    else if (ssl && SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN)
        snprintf(out, size, "the peer closed the TLS connection");
    else if (saved)
        snprintf(out, size, "%s", strerror(saved));
    else
        snprintf(out, size, "the connection was lost");
    ERR_clear_error();
    return out;
}

bool tls_was_truncated(void) {
    unsigned long code = ERR_peek_error();
    return ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}
