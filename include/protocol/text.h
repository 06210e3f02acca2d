/* Bytes to JSON text and base64: the recorder's and the admin side's hot paths. Thread: any. */
#ifndef MF_PROTOCOL_TEXT_H
#define MF_PROTOCOL_TEXT_H

#include "base/buf.h"

/* Appends data as the inside of a JSON string (no quotes): `"`, `\` and controls escaped (the short forms \b \f \n \r
 * \t, else \u00XX), everything else as it is. The data must be valid UTF-8. */
void json_escape(struct buf *out, const void *data, size_t len);
/* Quotes, escapes; ill-formed UTF-8 becomes U+FFFD. For short strings (headers, paths, reasons). */
void json_quote(struct buf *out, const char *s, size_t len);
/* Appends standard base64 with padding (RFC 4648 section 4). */
void base64_append(struct buf *out, const void *data, size_t len);
/* Appends what base64 text stands for. MF_EINVAL for anything but canonical base64 with padding. */
MF_MUSTCHECK int base64_decode(struct buf *out, const char *text, size_t len);
/* Appends a decimal number. */
void text_u64(struct buf *out, uint64_t n);
/* Appends microseconds as milliseconds with as many decimals as are needed: 412 -> "0.412", 50000 -> "50". */
void text_ms(struct buf *out, uint64_t us);

#endif
