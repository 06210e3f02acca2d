#include "recording/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "protocol/text.h"
#include "recording/parse_json.h"
#include "recording/usual_line.h"

#define HEADERS_MAX 1024 /* of one handshake: each costs an allocation, and writing them looks for pairs */
#define TIME_MAX_US ((uint64_t)INT64_MAX / 2) /* so that sums and differences of two times do not overflow */

void parse_fini(struct parse *p) {
    buf_fini(&p->space);
    buf_fini(&p->decoded);
    headers_fini(&p->request_headers);
    headers_fini(&p->response_headers);
    *p = (struct parse){0};
}

/* --- times --- */

/* Exactly `count` digits; -1 when they are not. */
static int fixed_digits(const char **text, int count) {
    int value = 0;
    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return -1;
        value = value * 10 + (**text - '0');
    }
    return value;
}

static bool fixed_char(const char **text, char c) {
    return *(*text)++ == c;
}

/* ".123" to microseconds; 0 without a fraction; -1 when it is malformed. */
static int fraction_us(const char **text) {
    if (**text != '.')
        return 0;
    int us = 0, scale = 100000;
    const char *from = ++*text;
    for (; **text >= '0' && **text <= '9'; (*text)++, scale /= 10)
        us += (**text - '0') * scale;
    return *text > from ? us : -1;
}

/* "Z" or "+02:00" to seconds. */
static bool zone_offset(const char **text, int *seconds) {
    *seconds = 0;
    char sign = *(*text)++;
    if (sign == 'Z' || sign == 'z')
        return true;
    if (sign != '+' && sign != '-')
        return false;
    int hours = fixed_digits(text, 2);
    if (hours < 0 || hours > 23 || !fixed_char(text, ':'))
        return false;
    int minutes = fixed_digits(text, 2);
    if (minutes < 0 || minutes > 59)
        return false;
    *seconds = (hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
    return true;
}

bool parse_rfc3339(const char *text, int64_t *out_us) {
    struct tm tm = {0};
    int us, zone;
    /* Each step is made only when the one before it found what it wanted: none runs past the string's end. */
    if ((tm.tm_year = fixed_digits(&text, 4)) < 1 || !fixed_char(&text, '-') ||
        (tm.tm_mon = fixed_digits(&text, 2)) < 1 || tm.tm_mon > 12 || !fixed_char(&text, '-') ||
        (tm.tm_mday = fixed_digits(&text, 2)) < 1 || tm.tm_mday > 31)
        return false;
    if (*text != 'T' && *text != 't' && *text != ' ')
        return false;
    text++;
    if ((tm.tm_hour = fixed_digits(&text, 2)) < 0 || tm.tm_hour > 23 || !fixed_char(&text, ':') ||
        (tm.tm_min = fixed_digits(&text, 2)) < 0 || tm.tm_min > 59 || !fixed_char(&text, ':') ||
        (tm.tm_sec = fixed_digits(&text, 2)) < 0 || tm.tm_sec > 60)
        return false;
    if ((us = fraction_us(&text)) < 0 || !zone_offset(&text, &zone) || *text)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *out_us = ((int64_t)timegm(&tm) - zone) * 1000000 + us;
    return true;
}

/* Decimal milliseconds to microseconds; what is finer is cut off. */
static bool take_ms(struct parse *p, uint64_t *out_us) {
    const uint8_t *at = p->at;
    const char *text;
    size_t len, i = 0;
    if (!json_number(p, &text, &len))
        return false;
    uint64_t us = 0;
    bool ok = true;
    for (; ok && i < len && text[i] >= '0' && text[i] <= '9'; i++)
        ok = (us = us * 10 + (uint64_t)(text[i] - '0')) <= TIME_MAX_US / 1000;
    int decimals = 0;
    us = ok ? us * 1000 : 0;
    if (i < len && text[i] == '.')
        for (uint64_t scale = 100; ++i < len && text[i] >= '0' && text[i] <= '9'; scale /= 10, decimals++)
            us += (uint64_t)(text[i] - '0') * scale;
    if (i < len && ok && *text != '-') { /* an exponent: nobody writes one, but it is JSON */
        double ms = strtod(text, NULL);  /* the text ends: a control character follows it at the latest */
        ok = ms <= (double)(TIME_MAX_US / 1000);
        us = ok ? (uint64_t)(ms * 1000 + 0.5) : 0;
    }
    if (!ok || *text == '-' || us > TIME_MAX_US)
        return parse_fail(p, at, "expected milliseconds from 0 to %llu for \"timestamp_ms\"",
                          (unsigned long long)(TIME_MAX_US / 1000));
    *out_us = us;
    return true;
}

/* --- members --- */

static int find_word(const char *word, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(word, words[i]))
            return (int)i;
    return -1;
}

/* A short string, cut and made printable, for a message. */
static const char *show(const char *s, char out[40]) {
    size_t n = 0;
    for (; n < 32 && s[n]; n++)
        out[n] = (unsigned char)s[n] >= 0x20 && (unsigned char)s[n] < 0x7f ? s[n] : '?';
    snprintf(out + n, 4, "%s", s[n] ? "..." : "");
    return out;
}

static bool take_word(struct parse *p, const char *name, const char *const *words, size_t count, const char *expected,
                      int *out) {
    const uint8_t *at = p->at;
    const char *word = NULL;
    char shown[40];
    if (!parse_json_text(p, name, &word))
        return false;
    *out = find_word(word, words, count);
    if (*out < 0)
        return parse_fail(p, at, "expected %s for \"%s\", found \"%s\"", expected, name, show(word, shown));
    return true;
}

static bool take_type(struct parse *p, const char *name, struct session_event *e) {
    int i;
    if (!take_word(p, name, event_type_names, EVENT_FAULT + 1, "a type that this version knows", &i))
        return false;
    e->type = (enum event_type)i;
    p->has_type = true;
    return true;
}

static bool take_direction(struct parse *p, const char *name, struct session_event *e) {
    int i;
    if (!take_word(p, name, event_direction_names, EVENT_OUTGOING + 1, "\"incoming\" or \"outgoing\"", &i))
        return false;
    e->direction = (enum event_direction)i;
    p->has_direction = true;
    return true;
}

static bool take_leg(struct parse *p, const char *name, struct session_event *e) {
    static const char *const words[] = {[EVENT_LEG_CLIENT] = "client", [EVENT_LEG_UPSTREAM] = "upstream"};
    int i;
    if (!take_word(p, name, words, ARRAY_LEN(words), "\"client\" or \"upstream\"", &i))
        return false;
    e->leg = (enum event_leg)i;
    return true;
}

static bool take_encoding(struct parse *p, const char *name, struct session_event *e) {
    (void)e;
    static const char *const words[] = {"base64"};
    int i;
    p->base64 = take_word(p, name, words, ARRAY_LEN(words), "\"base64\"", &i);
    return p->base64;
}

static bool take_timestamp_ms(struct parse *p, const char *name, struct session_event *e) {
    (void)name;
    uint64_t us = 0;
    if (!take_ms(p, &us))
        return false;
    if (!p->has_timestamp) /* "timestamp_us", if there is one, says it better */
        e->timestamp_us = us;
    return true;
}

static bool take_timestamp_us(struct parse *p, const char *name, struct session_event *e) {
    p->has_timestamp = true;
    return json_whole(p, name, TIME_MAX_US, &e->timestamp_us);
}

static bool take_recorded_at(struct parse *p, const char *name, struct session_event *e) {
    const uint8_t *at = p->at;
    const char *text = NULL;
    if (!parse_json_text(p, name, &text))
        return false;
    if (!parse_rfc3339(text, &e->recorded_at_us))
        return parse_fail(p, at, "expected a time such as \"2024-01-15T10:30:00.000Z\" for \"%s\"", name);
    return true;
}

static bool take_data(struct parse *p, const char *name, struct session_event *e) {
    (void)name;
    return parse_json_string(p, &e->data);
}

static bool take_reason(struct parse *p, const char *name, struct session_event *e) {
    (void)name;
    return parse_json_string(p, &e->reason);
}

static bool take_rsv(struct parse *p, const char *name, struct session_event *e) {
    uint64_t n = 0;
    bool ok = json_whole(p, name, 7, &n);
    e->rsv = (uint8_t)n;
    return ok;
}

static bool take_code(struct parse *p, const char *name, struct session_event *e) {
    uint64_t n = 0;
    bool ok = json_whole(p, name, UINT16_MAX, &n);
    e->code = (unsigned)n;
    return ok;
}

static bool take_version(struct parse *p, const char *name, struct session_event *e) {
    const uint8_t *at = p->at;
    uint64_t n = 0;
    if (!json_whole(p, name, UINT32_MAX, &n))
        return false;
    if (n > SESSION_FILE_VERSION)
        return parse_fail(p, at,
                          "expected a session file of version %d at most, found %llu: a newer mockforge wrote it",
                          SESSION_FILE_VERSION, (unsigned long long)n);
    e->version = (unsigned)n;
    return true;
}

/* --- headers --- */

static bool add_header(struct parse *p, struct headers *to, const char *name) {
    const uint8_t *at = p->at;
    const char *value = NULL;
    if (!parse_json_text(p, name, &value))
        return false;
    if (to->count == HEADERS_MAX)
        return parse_fail(p, at, "expected at most %d headers", HEADERS_MAX);
    if (headers_add(to, name, value) == MF_OK)
        return true;
    err_set(p->err, MF_ENOMEM, "out of memory");
    return false;
}

struct header_place {
    struct headers *to;
    const char *name;
};

static bool take_header_value(struct parse *p, const struct event_bytes *none, void *arg) {
    (void)none;
    struct header_place *place = arg;
    return add_header(p, place->to, place->name);
}

/* "name":"value" or "name":["value","value"] */
static bool take_header(struct parse *p, const struct event_bytes *name, void *arg) {
    struct header_place place = {arg, (const char *)name->data};
    if (memchr(name->data, '\0', name->len))
        return parse_fail(p, p->at, "expected no NUL in \"header name\"");
    return *p->at == '[' ? json_elements(p, take_header_value, &place) : add_header(p, place.to, place.name);
}

static bool take_headers(struct parse *p, struct headers *to) {
    headers_fini(to);
    if (*p->at != '{')
        return json_expect(p, '{', "an object of headers");
    return json_members(p, take_header, to);
}

static bool take_request_headers(struct parse *p, const char *name, struct session_event *e) {
    (void)name;
    e->request_headers = &p->request_headers;
    return take_headers(p, &p->request_headers);
}

static bool take_response_headers(struct parse *p, const char *name, struct session_event *e) {
    (void)name;
    e->response_headers = &p->response_headers;
    return take_headers(p, &p->response_headers);
}

/* --- the object --- */

/* What a member's value is read by: one of the functions above, or its kind and its place in the event. */
enum kind { BY_FUNCTION, TEXT, FLAG, NUMBER };
struct member {
    const char *name;
    size_t name_len;
    enum kind kind;
    size_t offset;
    bool (*take)(struct parse *p, const char *name, struct session_event *e);
};
#define MEMBER(name, kind, field)                                                                                      \
    { #name, sizeof #name - 1, kind, offsetof(struct session_event, field), NULL }
#define MEMBER_BY(name)                                                                                                \
    { #name, sizeof #name - 1, BY_FUNCTION, 0, take_##name }

/* In the order in which they are common: the search is linear. */
static const struct member members[] = {
    MEMBER(connection, TEXT, connection),
    MEMBER_BY(timestamp_ms),
    MEMBER_BY(direction),
    MEMBER_BY(type),
    MEMBER_BY(data),
    MEMBER_BY(encoding),
    MEMBER_BY(timestamp_us),
    MEMBER(fin, FLAG, fin),
    MEMBER_BY(rsv),
    MEMBER_BY(leg),
    MEMBER(frame_offset, NUMBER, frame_offset),
    MEMBER(frame_size, NUMBER, frame_size),
    MEMBER_BY(code),
    MEMBER_BY(reason),
    MEMBER(by, TEXT, by),
    MEMBER(path, TEXT, path),
    MEMBER(query, TEXT, query),
    MEMBER(remote_addr, TEXT, remote_addr),
    MEMBER(upstream, TEXT, upstream),
    MEMBER_BY(request_headers),
    MEMBER_BY(response_headers),
    MEMBER(subprotocol, TEXT, subprotocol),
    MEMBER(continued, FLAG, continued),
    MEMBER(fault, TEXT, fault),
    MEMBER(frames, NUMBER, gap_frames),
    MEMBER(bytes, NUMBER, gap_bytes),
    MEMBER_BY(recorded_at),
    MEMBER(generator, TEXT, generator),
    MEMBER_BY(version),
};

static const struct member *find_member(const struct event_bytes *name) {
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (members[i].name_len == name->len && !memcmp(members[i].name, name->data, name->len))
            return &members[i];
    return NULL;
}

static bool take_value(struct parse *p, const struct member *m, struct session_event *e) {
    void *field = (char *)e + m->offset;
    switch (m->kind) {
    case TEXT:
        return parse_json_text(p, m->name, field);
    case FLAG:
        return json_bool(p, m->name, field);
    case NUMBER:
        return json_whole(p, m->name, UINT64_MAX, field);
    case BY_FUNCTION:
        break;
    }
    return m->take(p, m->name, e);
}

static bool take_member(struct parse *p, const struct event_bytes *name, void *e) {
    const struct member *m = find_member(name);
    bool before = !m && name->len == 14 && !memcmp(name->data, "before_message", 14);
    parse_json_string_drop(p, name);
    if (before)
        return json_whole(p, "before_message", UINT64_MAX, &p->before_message);
    if (!m)
        return json_skip(p);
    /* null is the same as absent */
    return parse_json_null(p) || take_value(p, m, e);
}

int parse_base64(struct parse *p, struct event_bytes *data) {
    buf_reset(&p->decoded);
    int rc = base64_decode(&p->decoded, (const char *)data->data, data->len);
    if (rc == MF_ENOMEM)
        err_set(p->err, MF_ENOMEM, "out of memory");
    buf_cstr(&p->decoded); /* a NUL follows, as behind a string */
    if (rc == MF_OK)
        *data = (struct event_bytes){p->decoded.data, p->decoded.len};
    return rc;
}

static bool decode_data(struct parse *p, const uint8_t *begin, struct session_event *e) {
    int rc = parse_base64(p, &e->data);
    if (rc == MF_EINVAL)
        return parse_fail(p, begin, "expected canonical base64 with padding in \"data\"");
    return rc == MF_OK;
}

/* What the object as a whole must have. */
static bool check_event(struct parse *p, const uint8_t *begin, struct session_event *e) {
    if (!p->has_type)
        return parse_fail(p, begin, "expected a \"type\"");
    if (event_is_frame(e->type) && !p->has_direction)
        return parse_fail(p, begin, "expected a \"direction\" in a frame");
    if (p->base64 && !decode_data(p, begin, e))
        return false;
    if (e->frame_size && (e->frame_offset > e->frame_size || e->data.len > e->frame_size - e->frame_offset))
        return parse_fail(p, begin, "expected a piece that ends inside its frame (\"frame_offset\", \"frame_size\")");
    return true;
}

static bool take_text_of_event(struct parse *p, struct session_event *e) {
    if (!json_members(p, take_member, e))
        return false;
    if (p->at < p->end)
        return parse_fail(p, p->at, "expected nothing after the object");
    const uint8_t *first = p->begin;
    while (parse_is_space(*first))
        first++;
    return check_event(p, first, e);
}

int parse_begin(struct parse *p, const uint8_t *text, size_t len, struct err *err) {
    p->begin = p->at = p->line_begin = text;
    p->end = text + len;
    p->line = 0;
    p->err = err;
    buf_reset(&p->space);
    /* All strings together are no longer than the text; a copy may write a block beyond its end. */
    if (buf_reserve(&p->space, len + 2 * PARSE_PADDING) < 0)
        return err_set(err, MF_ENOMEM, "out of memory");
    return MF_OK;
}

static int begin_event(struct parse *p, const uint8_t *text, size_t len, struct session_event *e, struct err *err) {
    *e = (struct session_event){.fin = true, .version = SESSION_FILE_VERSION};
    return parse_begin(p, text, len, err);
}

int parse_event(struct parse *p, const uint8_t *text, size_t len, struct session_event *e, struct err *err) {
    p->has_type = p->has_direction = p->has_timestamp = p->base64 = false;
    p->before_message = 0;
    int rc = begin_event(p, text, len, e, err);
    if (rc < 0)
        return rc;
    if (usual_line_read(p, e))
        return MF_OK;
    rc = begin_event(p, text, len, e, err);
    if (rc < 0)
        return rc;
    return take_text_of_event(p, e) ? MF_OK : (int)err->code;
}
