/* TLS contexts: made once from the configuration, shared by all connections (SSL_CTX is counted by OpenSSL).
 *
 * TLS 1.2 and up. Read-ahead and SSL_MODE_RELEASE_BUFFERS are set; the link gives each SSL its own BIOs. SSL_write takes
 * all or nothing (partial writes are off), and a repeated one may come from another address. Main thread makes contexts;
 * any worker uses them.
 *
 * Read-ahead brings in up to 64 KiB at once, which may hold several records: bytes then wait inside the SSL where no poll
 * sees them. Read until SSL_ERROR_WANT_READ, or ask SSL_has_pending() (SSL_pending() knows the current record only).
 *
 * The end of a stream (RFC 8446 section 6.1). A peer that sends close_notify gives SSL_ERROR_ZERO_RETURN: a true end. A
 * FIN without it may be somebody else's cut, and gives SSL_ERROR_SSL with SSL_R_UNEXPECTED_EOF_WHILE_READING, because
 * SSL_OP_IGNORE_UNEXPECTED_EOF is not set (it would also turn a reset into an end). Ask tls_was_truncated() then. What
 * was read before is intact. After the peer's close frame it is how many WebSocket programs hang up, and no error; before
 * it the peer has vanished (1006, RFC 6455 section 7.1.5), as with a plain socket. */
#ifndef MF_NET_TLS_H
#define MF_NET_TLS_H

#include <openssl/ssl.h>

#include "base/err.h"
#include "config/config.h"

#define TLS_FINGERPRINT_LEN 96 /* "AB:CD:…", SHA-256, with the NUL */

/* A server's context. With cert_path/key_path: those PEM files (chain included; key and certificate must belong
 * together). With neither: a self-signed P-256 certificate for localhost, 127.0.0.1, ::1 and the host name, made on
 * first use in state_dir (0700; files 0600) and kept there as cert.pem and key.pem; a kept one that expires within a day
 * is made anew. Processes that start at once end up with the same one. key_path NULL: the key is in cert_path, too. ALPN:
 * http/1.1. A certificate that is not valid now is a warning in the log. fingerprint and self_signed may be NULL. */
MF_MUSTCHECK int tls_server_context(const struct server_tls_config *config, const char *state_dir, SSL_CTX **out,
                                    char fingerprint[TLS_FINGERPRINT_LEN], bool *self_signed, struct err *err);
/* A client's context: verifies chain and name by default; `ca` (a file, or a directory that
 * `openssl rehash` has been to) replaces the system store, and need not hold roots: an intermediate or the server's own
 * certificate will do. A system store without certificates is an error here rather than at each connection. */
MF_MUSTCHECK int tls_client_context(const struct upstream_tls_config *config, SSL_CTX **out, struct err *err);
/* A session for one connection to `host`: SNI (not for IP literals) and the name to verify (server_name, else host).
 * A trailing dot, brackets and an IPv6 scope are no part of the name. The caller sets the BIOs and SSL_set_connect_state is done. NULL: no memory. */
SSL *tls_client_session(SSL_CTX *ctx, const struct upstream_tls_config *config, const char *host);
/* Where things that outlive a run are kept: $MOCKFORGE_STATE_DIR, else $XDG_STATE_HOME/mockforge, else
 * ~/.local/state/mockforge, else (no HOME) .mockforge in the current directory. malloc'd; NULL: no memory. */
char *tls_state_dir(void);
/* One line for the log and the 502 body: why the last operation on ssl failed ("certificate verify failed: self-signed
 * certificate", "wrong version number (is that port TLS?)"). Call it at once: it looks at errno and at this thread's error
 * queue, which it drains. ssl may be NULL. Returns out. */
const char *tls_error_text(SSL *ssl, char *out, size_t size);
/* After a failed SSL_read or SSL_do_handshake, before tls_error_text(): did the stream end without close_notify? */
bool tls_was_truncated(void);

#endif
