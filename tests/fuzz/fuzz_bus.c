/* Arbitrary bytes on the channel between gateways: no crash, text that is handed on is UTF-8, a count is a count, and
 * what we write is read back. */
#include <stdlib.h>
#include <string.h>

#include "protocol/utf8.h"
#include "store/store_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store_news heard;
static unsigned times;

static void on_news(void *arg, const struct store_news *news) {
    (void)arg;
    MUST(news->audience <= 7 && news->name_len <= BUS_NAME_MAX);
    MUST(news->binary || utf8_valid(news->data, news->len));
    heard = *news;
    times++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct store store = {.options = {.on_news = on_news}};
    struct bus ours, theirs;
    struct buf again = BUF_INIT;
    bus_init(&ours);
    bus_init(&theirs);
    char *text = malloc(size ? size : 1); /* an exact copy: a read past its end is seen */
    MUST(text);
    if (size)
        memcpy(text, data, size);
    times = 0;
    bool known = bus_read(&ours, &store, text, size);
    MUST(bus_connections(&ours) <= BUS_CONNECTIONS_MAX);
    MUST(times == 0 || (times == 1 && known));
    if (times) {
        const struct store_news first = heard;
        bus_write_news(&theirs, &first, &again);
        MUST(bus_read(&ours, &store, (const char *)again.data, again.len) && times == 2);
        MUST(heard.audience == first.audience && heard.binary == first.binary && heard.name_len == first.name_len &&
             heard.len == first.len && !memcmp(heard.name, first.name, first.name_len) &&
             !memcmp(heard.data, first.data, first.len));
        MUST(!memcmp(again.data + 20, text + 20, size - 20)); /* but for the instance */
    }
    buf_fini(&again);
    free(text);
    return 0;
}
