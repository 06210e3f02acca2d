#include "recording/usual_line.h"

#include "recording/parse_json.h"

#define WHOLE_DIGITS_MAX 15 /* of milliseconds: less than TIME_MAX_US, whatever they are */

/* Passes a literal whose length the compiler knows. */
#define pass(p, literal) pass_bytes(p, literal, sizeof(literal) - 1)
static inline bool pass_bytes(struct parse *p, const char *literal, size_t len) {
    if ((size_t)(p->end - p->at) < len || memcmp(p->at, literal, len) != 0)
        return false;
    p->at += len;
    return true;
}

static inline bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

/* A name that nothing is escaped in, such as "conn-1", up to its end. */
static void take_name(struct parse *p, const char **out) {
    const uint8_t *s = p->at;
    uint8_t *to = p->space.data;
    while (is_digit(*s) || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '-' || *s == '_')
        *to++ = *s++;
    *to++ = '\0';
    *out = (const char *)p->space.data;
    p->space.len = (size_t)(to - p->space.data);
    p->at = s;
}

/* "1234.5" as text_ms() writes it: no zero that could be left out. */
static bool take_ms(struct parse *p, uint64_t *out_us) {
    const uint8_t *s = p->at, *from = s;
    uint64_t us = 0;
    for (; is_digit(*s); s++)
        us = us * 10 + (uint64_t)(*s - '0');
    size_t digits = (size_t)(s - from);
    if (digits == 0 || digits > WHOLE_DIGITS_MAX || (*from == '0' && digits > 1))
        return false;
    us *= 1000;
    if (*s == '.') {
        uint64_t scale = 100;
        for (from = ++s; is_digit(*s) && scale; s++, scale /= 10)
            us += (uint64_t)(*s - '0') * scale;
        if (s == from || s[-1] == '0')
            return false;
    }
    p->at = s;
    *out_us = us;
    return true;
}

static bool take_direction(struct parse *p, struct session_event *e) {
    if (pass(p, ",\"direction\":\"incoming\","))
        e->direction = EVENT_INCOMING;
    else if (pass(p, ",\"direction\":\"outgoing\","))
        e->direction = EVENT_OUTGOING;
    else
        return false;
    if (pass(p, "\"leg\":\"upstream\","))
        e->leg = EVENT_LEG_UPSTREAM;
    return true;
}

/* All but the data. */
static bool take_head(struct parse *p, struct session_event *e) {
    if (!pass(p, "{\"connection\":\""))
        return false;
    take_name(p, &e->connection);
    if (!pass(p, "\",\"timestamp_ms\":") || !take_ms(p, &e->timestamp_us) || !take_direction(p, e))
        return false;
    e->type = EVENT_TEXT;
    return pass(p, "\"type\":\"text\",\"data\":");
}

bool usual_line_read(struct parse *p, struct session_event *e) {
    p->odd_escape = false;
    bool read = take_head(p, e) && parse_json_string(p, &e->data) && pass(p, "}") && p->at == p->end;
    p->exact = read && !p->odd_escape;
    return read;
}
