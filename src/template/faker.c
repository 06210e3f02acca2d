/* Made-up values: {{faker.name}} and the like. Drawn from the generator of the context, so that a seed repeats them.
 *
 * Nothing of it can belong to anyone: host names are RFC 2606's, addresses RFC 5737's, telephone numbers those that the
 * North American plan keeps for fiction (555-0100 to 555-0199). All of it is ASCII that stands in JSON as it is. */
#include <ctype.h>
#include <string.h>

#include "base/near.h"
#include "protocol/text.h"
#include "template/segment.h"

struct faker {
    const char *name;
    enum form form;
    void (*make)(struct rng *rng, struct buf *out);
};

static const char *const first_names[] = {
    "Ada",  "Amir",  "Ana",   "Ben",  "Carla", "Chen",  "Clara", "Daniel", "Diego", "Elena", "Emil", "Fatima",
    "Femi", "Grace", "Hana",  "Hugo", "Ines",  "Ivan",  "Jonas", "Julia",  "Kavya", "Kenji", "Lars", "Leila",
    "Lina", "Lucas", "Maria", "Maya", "Mina",  "Nadia", "Nils",  "Noah",   "Olga",  "Omar",  "Paul", "Priya",
    "Rosa", "Samir", "Sara",  "Sven", "Tara",  "Tomas", "Vera",  "Victor", "Wanda", "Yusuf", "Zara", "Zoe"};

static const char *const last_names[] = {
    "Abbott",  "Adeyemi", "Almeida", "Andersen", "Baker",   "Barros",  "Becker",  "Bianchi", "Carter", "Castro",
    "Chandra", "Dubois",  "Eriksen", "Fischer",  "Fontana", "Garcia",  "Haddad",  "Hansen",  "Hughes", "Ibrahim",
    "Jansen",  "Kaplan",  "Keller",  "Kowalski", "Larsen",  "Lindner", "Marsh",   "Meyer",   "Moreau", "Nakamura",
    "Nguyen",  "Novak",   "Okafor",  "Olsen",    "Patel",   "Pereira", "Petrov",  "Quinn",   "Rahman", "Romero",
    "Santos",  "Schmidt", "Silva",   "Tanaka",   "Turner",  "Vargas",  "Walker",  "Ziegler"};

static const char *const cities[] = {"Amberfield", "Ashbrook",  "Birchwood",  "Brightwater", "Cedarville", "Clearford",
                                     "Eastbrook",  "Elmhurst",  "Fairhaven",  "Foxborough",  "Glenview",   "Greenport",
                                     "Highmoor",   "Kingsford", "Lakeside",   "Maplewood",   "Millbridge", "Northgate",
                                     "Oakridge",   "Pinecrest", "Riverton",   "Silverton",   "Stonehaven", "Westfield"};

static const char *const streets[] = {"Birch", "Bridge", "Castle", "Cedar",  "Chapel", "Church", "Elm",  "Forest",
                                      "Garden", "Harbor", "High",   "Hill",   "Lake",   "Maple",  "Mill", "Oak",
                                      "Park",  "Pine",   "River",  "School", "Spring", "Station", "Sunset", "Willow"};

static const char *const street_kinds[] = {"Avenue", "Lane", "Road", "Street", "Way"};

static const char *const countries[] = {"Argentina", "Australia",   "Austria", "Belgium",  "Brazil",       "Canada",
                                        "Chile",     "Denmark",     "Egypt",   "Finland",  "France",       "Germany",
                                        "Greece",    "India",       "Ireland", "Italy",    "Japan",        "Kenya",
                                        "Mexico",    "Netherlands", "Nigeria", "Norway",   "Poland",       "Portugal",
                                        "Singapore", "Spain",       "Sweden",  "Ukraine",  "South Africa", "Vietnam"};

static const char *const company_kinds[] = {"Analytics", "Foods",   "Group",   "Labs",     "Logistics",
                                            "Media",     "Partners", "Studios", "Supplies", "Systems"};

static const char *const colors[] = {"amber", "azure",  "beige", "black",  "blue",   "brown",  "coral",   "crimson",
                                     "cyan",  "gold",   "gray",  "green",  "indigo", "ivory",  "lavender", "magenta",
                                     "maroon", "navy",  "olive", "orange", "pink",   "purple", "red",     "salmon",
                                     "silver", "teal",  "turquoise", "violet", "white", "yellow"};

static const char *const words[] = {
    "anchor", "apple",  "autumn", "basket", "beacon", "bottle", "branch", "breeze", "bridge", "button", "candle",
    "canyon", "carbon", "castle", "circle", "cloud",  "cobalt", "copper", "corner", "cotton", "crystal", "desert",
    "dragon", "ember",  "engine", "falcon", "feather", "field", "flower", "forest", "galaxy", "garden", "ginger",
    "glacier", "hammer", "harbor", "harvest", "hollow", "island", "jacket", "jungle", "kettle", "ladder", "lantern",
    "leaf",   "lemon",  "linen",  "marble", "meadow", "mirror", "morning", "mountain", "needle", "ocean", "orbit",
    "paper",  "pebble", "pepper", "piano",  "planet", "pocket", "prairie", "quartz", "rabbit", "rain",  "ribbon",
    "river",  "rocket", "saddle", "shadow", "signal", "silver", "spring", "stone",  "summer", "thunder", "timber",
    "tunnel", "valley", "velvet", "violin", "walnut", "water",  "whisper", "willow", "window", "winter", "yellow"};

static const char *const top_domains[] = {"com", "net", "org"};
static const char *const area_codes[] = {"202", "206", "212", "303", "312", "415", "512", "617", "702", "808"};
static const char *const documentation_nets[] = {"192.0.2.", "198.51.100.", "203.0.113."};

static unsigned between(struct rng *rng, unsigned low, unsigned high) {
    return (unsigned)rng_range(rng, low, high);
}

static const char *pick(struct rng *rng, const char *const *table, size_t count) {
    return table[rng_range(rng, 0, (int64_t)count - 1)];
}
#define PICK(rng, table) pick(rng, table, ARRAY_LEN(table))

static void put_lower(struct buf *out, const char *s) {
    for (; *s; s++)
        buf_putc(out, (char)tolower((unsigned char)*s));
}

static void make_first_name(struct rng *rng, struct buf *out) {
    buf_puts(out, PICK(rng, first_names));
}

static void make_last_name(struct rng *rng, struct buf *out) {
    buf_puts(out, PICK(rng, last_names));
}

static void make_name(struct rng *rng, struct buf *out) {
    make_first_name(rng, out);
    buf_putc(out, ' ');
    make_last_name(rng, out);
}

static void make_username(struct rng *rng, struct buf *out) {
    put_lower(out, PICK(rng, first_names));
    buf_putc(out, '_');
    buf_puts(out, PICK(rng, words));
    text_u64(out, between(rng, 1, 99));
}

static void make_email(struct rng *rng, struct buf *out) {
    put_lower(out, PICK(rng, first_names));
    buf_putc(out, '.');
    put_lower(out, PICK(rng, last_names));
    text_u64(out, between(rng, 1, 99));
    buf_puts(out, "@example.");
    buf_puts(out, PICK(rng, top_domains));
}

static void make_phone(struct rng *rng, struct buf *out) {
    buf_puts(out, "+1-");
    buf_puts(out, PICK(rng, area_codes));
    buf_puts(out, "-555-01");
    unsigned last = between(rng, 0, 99);
    buf_putc(out, (char)('0' + last / 10));
    buf_putc(out, (char)('0' + last % 10));
}

static void make_company(struct rng *rng, struct buf *out) {
    make_last_name(rng, out);
    buf_putc(out, ' ');
    buf_puts(out, PICK(rng, company_kinds));
}

static void make_street(struct rng *rng, struct buf *out) {
    text_u64(out, between(rng, 1, 999));
    buf_putc(out, ' ');
    buf_puts(out, PICK(rng, streets));
    buf_putc(out, ' ');
    buf_puts(out, PICK(rng, street_kinds));
}

static void make_city(struct rng *rng, struct buf *out) {
    buf_puts(out, PICK(rng, cities));
}

static void make_address(struct rng *rng, struct buf *out) {
    make_street(rng, out);
    buf_puts(out, ", ");
    make_city(rng, out);
}

static void make_country(struct rng *rng, struct buf *out) {
    buf_puts(out, PICK(rng, countries));
}

static void make_url(struct rng *rng, struct buf *out) {
    buf_puts(out, "https://");
    buf_puts(out, PICK(rng, words));
    buf_puts(out, ".example.");
    buf_puts(out, PICK(rng, top_domains));
    buf_putc(out, '/');
    buf_puts(out, PICK(rng, words));
}

static void make_ip(struct rng *rng, struct buf *out) {
    buf_puts(out, PICK(rng, documentation_nets));
    text_u64(out, between(rng, 1, 254));
}

static void make_color(struct rng *rng, struct buf *out) {
    buf_puts(out, PICK(rng, colors));
}

static void make_word(struct rng *rng, struct buf *out) {
    buf_puts(out, PICK(rng, words));
}

static void make_sentence(struct rng *rng, struct buf *out) {
    const char *first = PICK(rng, words);
    buf_putc(out, (char)toupper((unsigned char)*first));
    buf_puts(out, first + 1);
    for (unsigned more = between(rng, 4, 9); more; more--) {
        buf_putc(out, ' ');
        make_word(rng, out);
    }
    buf_putc(out, '.');
}

static void make_paragraph(struct rng *rng, struct buf *out) {
    make_sentence(rng, out);
    for (unsigned more = between(rng, 2, 4); more; more--) {
        buf_putc(out, ' ');
        make_sentence(rng, out);
    }
}

static void make_uuid(struct rng *rng, struct buf *out) {
    char text[RNG_UUID_LEN];
    buf_puts(out, rng_uuid(rng, text));
}

static void make_boolean(struct rng *rng, struct buf *out) {
    buf_puts(out, between(rng, 0, 1) ? "true" : "false");
}

/* X(name, form, example) */
#define FAKERS(X)                                                                                                      \
    X(name, PLAIN, "Maya Keller")                                                                                      \
    X(first_name, PLAIN, "Maya")                                                                                       \
    X(last_name, PLAIN, "Keller")                                                                                      \
    X(username, PLAIN, "maya_lantern42")                                                                               \
    X(email, PLAIN, "maya.keller42@example.com")                                                                       \
    X(phone, PLAIN, "+1-212-555-0142")                                                                                 \
    X(company, PLAIN, "Keller Systems")                                                                                \
    X(street, PLAIN, "42 Maple Street")                                                                                \
    X(city, PLAIN, "Riverton")                                                                                         \
    X(address, PLAIN, "42 Maple Street, Riverton")                                                                     \
    X(country, PLAIN, "Portugal")                                                                                      \
    X(url, PLAIN, "https://lantern.example.org/meadow")                                                                \
    X(ip, PLAIN, "203.0.113.42")                                                                                       \
    X(color, PLAIN, "teal")                                                                                            \
    X(word, PLAIN, "lantern")                                                                                          \
    X(sentence, PLAIN, "Lantern river quartz meadow willow.")                                                          \
    X(paragraph, PLAIN, "Orbit velvet rain meadow copper. Lantern river …")                                            \
    X(uuid, PLAIN, "1b4e28ba-2fa1-41d2-883f-0016d3cca427")                                                             \
    X(boolean, JSON, "true")

static const struct faker fakers[] = {
#define X(name, form, example) {#name, FORM_##form, make_##name},
    FAKERS(X)
#undef X
};

const struct template_function_info template_faker[] = {
#define X(name, form, example) {"faker." #name, "", "`" example "`"},
    FAKERS(X)
#undef X
    {NULL, NULL, NULL}};

int prepare_faker(struct call *call, struct err *err) {
    struct near near = near_to(call->suffix);
    for (size_t i = 0; i < ARRAY_LEN(fakers); i++) {
        if (!strcmp(call->suffix, fakers[i].name)) {
            call->faker = &fakers[i];
            return MF_OK;
        }
        near_try(&near, fakers[i].name);
    }
    if (near.best)
        return err_set(err, MF_EINVAL, "unknown placeholder \"{{%.100s}}\"; did you mean \"faker.%s\"?", call->name,
                       near.best);
    return err_set(err, MF_EINVAL, "unknown placeholder \"{{%.100s}}\"", call->name);
}

enum form render_faker(const struct call *call, const struct template_context *ctx, struct buf *out) {
    if (!ctx->rng)
        return FORM_MISSING;
    call->faker->make(ctx->rng, out);
    return call->faker->form;
}
