#include "recording/foreign.h"

#include <string.h>

#include "base/defs.h"

#define MAGIC(bytes, kind)                                                                                             \
    { bytes, sizeof(bytes) - 1, kind }

#define ZLIB "compressed with zlib (mitmproxy's .zhar): unpack it first (zlib-flate -uncompress), or save it as .har"

static const struct {
    const char *magic;
    size_t len;
    const char *kind;
} kinds[] = {
    MAGIC("\x1f\x8b", "a gzip file: unpack it first (gunzip)"),
    MAGIC("PK\x03\x04",
          "a ZIP archive: unpack it first (unzip), and give the .har file in it, other files still beside it"),
    MAGIC("\x78\x01", ZLIB), /* RFC 1950 section 2.2 */
    MAGIC("\x78\x5e", ZLIB),
    MAGIC("\x78\x9c", ZLIB),
    MAGIC("\x78\xda", ZLIB),
    MAGIC("BZh", "a bzip2 file: unpack it first (bunzip2)"),
    MAGIC("\xfd\x37zXZ", "an xz file: unpack it first (unxz)"),
    MAGIC("\x04\x22\x4d\x18", "an LZ4 file: unpack it first (unlz4)"),
    MAGIC("\xff\xfe", "UTF-16: convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)"),
    MAGIC("\xfe\xff", "UTF-16: convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)"),
    MAGIC("\xd4\xc3\xb2\xa1", "a packet capture (pcap)"),
    MAGIC("\x0a\x0d\x0d\x0a", "a packet capture (pcapng)"),
    MAGIC("\x89PNG", "a PNG image"),
    MAGIC("%PDF", "a PDF document"),
    MAGIC("\x7f"
          "ELF",
          "a program"),
    MAGIC("SQLite format 3", "an SQLite database"),
};

const char *foreign_kind(const void *head, size_t len) {
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (len >= kinds[i].len && !memcmp(head, kinds[i].magic, kinds[i].len))
            return kinds[i].kind;
    return NULL;
}
