"""The text part that an html template gives: what a reader sees, as a template, whatever the html is like."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from campaigns.plain_text import from_html
from campaigns.templating import CompiledStep, MissingField, TemplateTooCostly, compile_step
from outreach.common.errors import BadInput


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two<br>lines</p>", "One\n\nTwo\nlines\n"),
        ("<h1> A  title </h1>\n<div>a</div><div>b</div>", "A title\n\na\nb\n"),
        ("a &amp; b &lt;3 &nbsp;x&#8364;", "a & b <3  x€\n"),
        ("<ul><li>One</li><li><p>Two</p><ul><li>in</li></ul></li></ul>", "- One\n- Two\n  - in\n"),
        ("<ol><li>a<li>b</ol>", "1. a\n2. b\n"),
        ("<blockquote>said<br>so</blockquote>x", "> said\n> so\n\nx\n"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><th>c</th><td>d</td></tr></table>", "a b\nc d\n"),
        ("<pre>a\n  b\n\nc</pre>", "a\n  b\n\nc\n"),
        ("a<hr>b", "a\n\n----------\n\nb\n"),
        ('<a href="https://a.example/x?a=1&amp;b=2">Look</a>!', "Look <https://a.example/x?a=1&b=2>!\n"),
        ('<a href="https://a.example/">a.example</a> <a href="mailto:a@b.cd">a@b.cd</a>', "a.example a@b.cd\n"),
        ('<a href="#top">up</a> <a href="javascript:alert(1)">run</a> <a name=x>here</a>', "up run here\n"),
        ('<a href="https://a.example"><img alt="Logo" src=x></a><img src=y>', "Logo <https://a.example>\n"),
        ("<head><title>t</title><style>p{}</style></head><script>x()</script><p>y</p><!-- z -->", "y\n"),
        ('<div style="display: none">pre<div>view</div></div><span hidden>x</span>y', "y\n"),
        ("a < b <- c <3", "a < b <- c <3\n"),
        ("shown<!-- the rest is not", "shown\n"),
        ("shown<a href='the rest", "shown\n"),
    ],
)
def test_what_a_reader_sees_becomes_lines(html, text):
    assert from_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<p>Hi {{ a | default: "<b>" }}</p>', 'Hi {{ a | default: "<b>" }}\n'),
        ("<p>A</p>{% if a %}<p>B</p>{% endif %}<p>C</p>", "A{% if a %}\n\nB{% endif %}\n\nC\n"),
        ("<p {% if a %}class='{{ b }}'{% endif %}>A</p>", "{% if a %}{% endif %}A\n"),
        ("<style>{% assign x = a %}</style>{{ x }}", "{% assign x = a %}{{ x }}\n"),
        ('<a href="{{ unsubscribe_url }}">Stop</a>', "Stop <{{ unsubscribe_url }}>\n"),
        (
            '<a href="https://a.example/?x={{ a | url_encode }}">x</a>',
            "x <https://a.example/?x={{ a | url_encode }}>\n",
        ),
        ("<p>a  {{- b -}}  c</p>", "a{{ b }}c\n"),
        ("&#123;&#123; a }}", "{% raw %}{{% endraw %}{ a }}\n"),
        ("{% raw %}{{ a }}{% endraw %}", "{% raw %}{{% endraw %}{ a }}\n"),
        ("<p class='{% cycle 1, 2 %}'>{% cycle 3, 4 %}</p>", "{% cycle 3, 4 %}\n"),
    ],
)
def test_constructs_come_along_where_they_are_seen_and_stay_closed(html, text):
    assert from_html(html) == text
    assert isinstance(compile_step("Hello", "", html), CompiledStep)


def test_a_step_of_html_alone_has_a_text_part():
    step = compile_step(
        "Hello",
        "",
        "<p>Dear {{ first_name | escape }},</p>{% if city %}<p>in {{ city }}</p>{% endif %}"
        "<ul>{% for i in (1..2) %}<li>{{ i }}</li>{% endfor %}</ul>{% raw %}{{ x }}{% endraw %}",
    )

    assert step.text.is_made
    assert step.text.render({"first_name": "R&D <x>", "city": "Kyiv"}) == (
        "Dear R&D <x>,\n\nin Kyiv\n\n- 1\n- 2\n\n{{ x }}\n"
    )
    assert step.text.render({"first_name": "Ann"}) == "Dear Ann,\n\n- 1\n- 2\n\n{{ x }}\n"
    assert compile_step("Hello", "Own", "<p>x</p>").text.is_made is False
    with pytest.raises(MissingField, match="The step, text made from the html, line 1: the contact has no first_name"):
        step.text.render({})


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ("<p><img src=x></p>", "Step 2, text: the html shows no words to make it from. Write a text part."),
        ("a\n<p>{{ b", "Step 2, html, line 2: {{ is not closed."),
        ("<p>\n{{ b | shout }}</p>", "Step 2, html, line 2: unknown filter 'shout'."),
        ("<b>" + "<ul><li>x" * 30_000, "Step 2, text made from the html: it has "),
    ],
)
def test_html_that_gives_no_text_is_refused_with_part_and_line(html, said):
    with pytest.raises(BadInput) as refusal:
        compile_step("Hello", "", html, step="Step 2")

    assert str(refusal.value).startswith(said)


@pytest.mark.attack("A21")
@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<!--",
        "<a ",
        "<ul><li>x",
        "<blockquote>x",
        "<a href=https://x>y",
        "<![x[",
        "&",
        "<p hidden>",
        "</a",
        "<title>",
    ]
    + ["<a href='", "<!", "<?", "<div", "{{ a }}", "<pre>\n", "{% raw %}<{% endraw %}", "</a>", "<a href=https://x>"],
)
def test_the_worst_html_is_read_in_seconds(piece):
    source = piece * (400_000 // len(piece))
    began = time.thread_time()

    from_html(source)

    assert time.thread_time() - began < 3


bits = st.lists(
    st.sampled_from(
        [
            "<p>",
            "</p>",
            "<a href='https://a.example/{{ a }}'>",
            "</a>",
            "<ul>",
            "<li>",
            "</ul>",
            "<pre>",
            "</pre>",
            "x y",
        ]
        + ["{{ a }}", "{% if a %}", "{% endif %}", "<!--", "-->", "<div hidden>", "</div>", "&#123;", "{", "%}", "\n"]
        + ["<style>", "</style>", "<b", ">", "'", '"', "{% raw %}", "{% endraw %}", "{%- # x -%}", "<br>", "ж", "<td>"]
    ),
    max_size=25,
).map("".join)


@settings(max_examples=400, deadline=None)
@given(bits)
@example("{{{ a }}")
@example("&#123;{{ a }}")
@example("&#123;{% if a %}&#37;{% endif %}")
@example("<div hidden><p>{% if a %}</div>x{% endif %}")
def test_any_html_that_is_a_template_gives_a_text_that_is_one(html):
    try:
        compile_step("Hello", "x", html)
    except (BadInput, TemplateTooCostly):
        return
    text = from_html(html) if html.strip() else ""
    if text.strip():
        assert compile_step("Hello", "", html).text.render({"a": "v", "x": "v"}) is not None
