"""The campaign that both sides send: text and html, about 4 kB as a message, fields and a Liquid tag."""

SENTENCE = (
    "We looked at how teams of your size handle their invoices and found three places where a day a month is lost. "
)
SUBJECT = "{{ first_name }}, a question about invoices at {{ company }}"
TEXT = (
    'Hello {{ first_name | default: "there" }},\n\n'
    + (SENTENCE + "\n") * 11
    + '\n{% if country == "UA" %}We are in Kyiv in May.{% else %}We come to you in May.{% endif %}\n\nKind regards\n'
)
HTML = (
    '<html><body><p>Hello {{ first_name | default: "there" }},</p>\n'
    + f"<p>{SENTENCE}</p>\n" * 11
    + "<p>Would a call suit {{ company }}?</p></body></html>\n"
)
