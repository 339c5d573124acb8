"""Made-up people and companies for the demo, in names that the world really uses."""

from __future__ import annotations

import itertools
import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


STAFF_FIRST = _words(
    "Anna Bram Carla Daan Eva Finn Greta Hugo Ines Jonas Karin Lars Mara Nils Olga Pieter Rosa Sven Tessa Ugo Vera "
    "Wim Yara Zoë Amir Bella Cyril Dora Emil Fleur Gideon Hanna Ivo Julia Kaspar Lena Milan Nora Oscar Paula"
)
STAFF_LAST = _words(
    "Adler Bakker Conti Dekker Ekström Fischer Garnier Horvath Ivanova Jansen Keller Laurent Moreau Novak Okafor "
    "Petit Quist Ricci Sanders Tanaka Ueda Visser Weber Young Zeman Ahmed Brandt Coleman Duarte Engel Ferrari "
    "Gruber Hansen Ibsen Jensen Kowalska Lindqvist Maas Nagy Olsen"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A country's people: where they live, what they are called, on what ground they may be written to."""

    country: str
    time_zone: str
    city: str
    weight: int
    basis: str
    first: tuple[str, ...]
    last: tuple[str, ...]
    basis_expires: bool = False


def _names(first: str, last: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return _words(first), _words(last)


_DUTCH = _names("Sanne Joris Femke Thijs Lotte Ruben Maud Sem", "Visser Smit Meijer Bos Mulder Kuiper Vos Prins")
_GERMAN = _names(
    "Jürgen Heike Matthias Sabine Björn Ute Käthe Florian", "Müller Schäfer Strauß Köhler Vogel Krüger Lang Busch"
)
_FRENCH = _names(
    "Élodie Benoît Chloé Hervé Maëlle Rémi Inès Luc", "Lefèvre Dubois Girard Noël Mercier Blanc Faure Roux"
)
_ENGLISH = _names(
    "Grace Oliver Priya Callum Imogen Tariq Beth Declan", "Walker Patel Hughes O'Brien Shah Bennett Clarke Foster"
)
_SPANISH = _names(
    "Lucía Íñigo Carmen Álvaro Nuria Raúl Pilar Iván", "García Muñoz Peña Ibáñez Romero Núñez Vidal Soler"
)
_POLISH = _names("Łukasz Agnieszka Paweł Zofia Michał Ewa Piotr Iga", "Nowak Zając Wójcik Mazur Król Pawlak Duda Wrona")
_NORDIC = _names("Søren Åsa Jørgen Linnéa Pekka Sigrid Ville Maja", "Lund Berg Holm Dahl Lind Falk Strand Nyman")
_UKRAINIAN = _names(
    "Оксана Андрій Ірина Тарас Марія Богдан Леся Юрій", "Коваль Шевчук Бондар Мельник Лисенко Гнатюк Савчук Ткач"
)
_AMERICAN = _names(
    "Madison Tyler Brianna Marcus Kayla Jorge Hailey Andre", "Johnson Rivera Nguyen Brooks Kim Howard Ortiz Price"
)
_INDIAN = _names("Ananya Rohan Kavya Arjun Meera Vikram Divya Nikhil", "Sharma Iyer Reddy Nair Gupta Menon Desai Rao")
_JAPANESE = _names("Haruka Kenji Yuki Takumi Aiko Sora Mei Daichi", "Sato Suzuki Kimura Mori Hayashi Ito Abe Ono")
_BRAZILIAN = _names(
    "João Beatriz Thiago Larissa Caio Letícia Davi Luana", "Silva Souza Araújo Gonçalves Lima Rocha Pinto Melo"
)

PLACES = (
    Place("NL", "Europe/Amsterdam", "Utrecht", 9, "consent", *_DUTCH),
    Place("DE", "Europe/Berlin", "Köln", 12, "consent", *_GERMAN),
    Place("FR", "Europe/Paris", "Nantes", 9, "legitimate_interest", *_FRENCH),
    Place("GB", "Europe/London", "Sheffield", 12, "legitimate_interest", *_ENGLISH),
    Place("ES", "Europe/Madrid", "Zaragoza", 6, "consent", *_SPANISH),
    Place("PL", "Europe/Warsaw", "Łódź", 6, "consent", *_POLISH),
    Place("DK", "Europe/Copenhagen", "Odense", 4, "consent", *_NORDIC),
    Place("FI", "Europe/Helsinki", "Tampere", 3, "legitimate_interest", *_NORDIC),
    Place("UA", "Europe/Kyiv", "Львів", 5, "consent", *_UKRAINIAN),
    Place("US", "America/New_York", "Pittsburgh", 10, "opt_out", *_AMERICAN),
    Place("US", "America/Chicago", "Milwaukee", 7, "opt_out", *_AMERICAN),
    Place("US", "America/Los_Angeles", "Sacramento", 6, "opt_out", *_AMERICAN),
    Place("CA", "America/Toronto", "Ottawa", 4, "implied_consent", *_ENGLISH, basis_expires=True),
    Place("BR", "America/Sao_Paulo", "Campinas", 3, "consent", *_BRAZILIAN),
    Place("IN", "Asia/Kolkata", "Pune", 5, "consent", *_INDIAN),
    Place("JP", "Asia/Tokyo", "Nagoya", 2, "consent", *_JAPANESE),
    Place("AU", "Australia/Sydney", "Newcastle", 3, "consent", *_ENGLISH),
)

COMPANY_FIRST = _words(
    "Alder Amber Arbor Aster Basalt Beacon Birch Blue Cedar Cobalt Copper Coral Crane Delta Ember Fable Falcon "
    "Fjord Flint Granite Halcyon Harvest Hazel Heron Indigo Iris Juniper Kestrel Lantern Larch Lumen Maple Marble "
    "Meridian Mosaic Nimbus North Oak Onyx Opal Orchid Osprey Pebble Pine Quarry Quill Raven Redwood River Rowan "
    "Saffron Sage Silver Slate Solar Spruce Sterling Summit Teal Thistle Timber Topaz Umber Valley Velvet Violet "
    "Walnut Willow Zenith"
)
COMPANY_SECOND = {
    "Foods": "food", "Textiles": "textiles", "Tools": "machinery", "Optics": "optics", "Pharma": "health care",
    "Motors": "automotive", "Books": "publishing", "Homes": "construction", "Outdoor": "sports", "Energy": "energy",
    "Dental": "health care", "Paper": "packaging", "Stores": "retail", "Marine": "shipping", "Farms": "agriculture",
    "Labs": "research", "Music": "media", "Ceramics": "ceramics", "Travel": "travel", "Glass": "construction",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """One contact. `number` counts them from 0."""

    number: int
    email: str
    first_name: str
    last_name: str
    company: str
    industry: str
    country: str
    time_zone: str
    city: str
    basis: str
    basis_expires: bool


def staff(chance: random.Random, count: int) -> list[tuple[str, str]]:
    """`count` different (first name, last name), at most 1600."""
    pairs = list(itertools.product(STAFF_FIRST, STAFF_LAST))
    if count > len(pairs):
        raise ValueError(f"There are {len(pairs)} different names, and {count} were asked for.")
    return chance.sample(pairs, count)


def everybody(chance: random.Random) -> Iterator[Person]:
    """People without end, each with an address of their own; one to four of them at each company."""
    number = 0
    for order in itertools.count():
        firm, industry, domain = _company(order)
        place = chance.choices(PLACES, weights=[place.weight for place in PLACES])[0]
        pairs = list(itertools.product(place.first, place.last))
        for first, last in chance.sample(pairs, chance.randint(1, 4)):
            yield Person(
                number, f"{mail_name(first)}.{mail_name(last)}@{domain}", first, last, firm, industry, place.country,
                place.time_zone, place.city, place.basis, place.basis_expires,
            )  # fmt: skip
            number += 1


def _company(order: int) -> tuple[str, str, str]:
    """(name, industry, domain) of the company with this number, each name once."""
    seconds = list(COMPANY_SECOND)
    generation, rest = divmod(order, len(COMPANY_FIRST) * len(seconds))
    # Both words go round at once, and meet again only after 69 x 20: the lengths have no common divisor.
    first, second = COMPANY_FIRST[rest % len(COMPANY_FIRST)], seconds[rest % len(seconds)]
    front = ("", "New ", "Grand ", "Royal ", "Upper ", "Lower ", "West ", "East ")
    prefix = front[generation] if generation < len(front) else f"{generation} "
    name = f"{prefix}{first} {second}"
    return name, COMPANY_SECOND[second], f"{name.lower().replace(' ', '-')}.example"


_CYRILLIC = dict(
    zip(
        "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
        _words("a b v h g d e ie zh z y i i i k l m n o p r s t u f kh ts ch sh shch . iu ia"),
        strict=True,
    )
)


def mail_name(name: str) -> str:
    """A name as it stands in an address: a-z only."""
    latin = "".join(_CYRILLIC.get(letter, letter) for letter in name.lower())
    plain = unicodedata.normalize("NFKD", latin.replace("ł", "l").replace("ø", "o").replace("ß", "ss"))
    return "".join(letter for letter in plain if "a" <= letter <= "z")
