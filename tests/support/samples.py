"""A valid body for each entity, with text that is hostile to careless encoders."""
from .stack import unique

NASTY = "Über „Größe“ \"quoted\" \\ back slash </script> 😀 'end'"  # one line
LONG = NASTY + "\ttab\nnext line\r\n\u2028 end"

SAMPLES = {
    "users": lambda: {"username": unique("u").replace("-", "_"), "email": f"{unique('m')}@example.org", "role": "author",
                      "display_name": NASTY, "website": "https://example.org/~x?a=1&b=2"},
    "posts": lambda: {"title": NASTY, "slug": unique("post"), "status": "draft", "content": LONG * 20,
                      "categories": ["a b", "c,d", "e\"f"], "tags": ["null", "{x}", "ö"], "meta": {"k": [1, {"ü": None}]}},
    "pages": lambda: {"title": NASTY, "slug": unique("page"), "status": "draft", "menu_order": 7, "content": "<p>x</p>"},
    "media": lambda: {"filename": unique("file") + ".png", "mime_type": "image/png", "size_bytes": 12345,
                      "sha256": "ab" * 32, "width": 640, "height": 480, "alt_text": NASTY},
    "experts": lambda: {"name": NASTY, "slug": unique("expert"), "email": "e@example.org", "specialties": ["C", "SQL"],
                        "languages": ["de", "en"], "country": "DE", "hourly_rate_minor": 12050, "currency": "EUR",
                        "status": "active"},
    "companies": lambda: {"name": NASTY, "slug": unique("company"), "employee_count": 12, "founded_year": 1999,
                          "country": "AT", "status": "active"},
    "events": lambda: {"title": NASTY, "slug": unique("event"), "status": "draft", "starts_at": "2027-03-01T09:00:00+01:00",
                       "ends_at": "2027-03-01T18:00:00Z", "timezone": "Europe/Berlin", "capacity": 40},
}
TITLE = {"users": "display_name", "media": "title", "experts": "name", "companies": "name"}


def title_field(plural):
    return TITLE.get(plural, "title")
