"""The people, places, animals, things and goods of the sample world, with their phrases.

Every phrase that a sentence needs ("the red ball", "in the mill") is made once, when this module
is imported, so that telling a story is only choosing and joining.
"""

from dataclasses import dataclass

from hornbook.corpus.world.grammar import NUMBERS, plural, with_article


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Somebody who acts and speaks; `name` stands in a sentence as it is."""

    name: str
    kind: str
    """girl, boy, woman or man."""
    he: str
    him: str
    his: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Somewhere to be, go to and come from."""

    noun: str
    at: str
    """"in the mill"."""
    outdoors: bool
    the: str
    to: str


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """An object that one person can hold."""

    noun: str
    adjective: str
    name: str
    """"red ball", to stand after a possessive."""
    the: str
    a: str
    short: str
    """"the ball", where no other ball is about."""


@dataclass(frozen=True, slots=True, eq=False)
class Animal:
    """A creature; `the`, `a` and `short` as for a thing."""

    noun: str
    plural: str
    name: str
    the: str
    a: str
    short: str
    voice: str
    """What it did to be heard, in the past: "barked"."""
    ran: str
    """How it left in a hurry, in the past."""


@dataclass(frozen=True, slots=True, eq=False)
class Goods:
    """Something that is counted: `of[3]` is "three apples"."""

    one: str
    many: str
    of: tuple[str, ...]


def _person(name: str, kind: str) -> Person:
    female = kind in ("girl", "woman")
    pronouns = ("she", "her", "her") if female else ("he", "him", "his")
    return Person(name, kind, *pronouns)


GIRLS = tuple(
    _person(name, "girl")
    for name in [
        "Anna",
        "Rosa",
        "Lucy",
        "Emma",
        "Mary",
        "Clara",
        "Nina",
        "Ella",
        "Ruth",
        "Alice",
        "Mia",
        "Kate",
        "Lena",
        "Sara",
        "Julia",
        "Eva",
        "Molly",
        "Grace",
        "Ida",
        "Nora",
    ]
)
BOYS = tuple(
    _person(name, "boy")
    for name in [
        "Tom",
        "Ben",
        "Max",
        "Jack",
        "Sam",
        "Peter",
        "Leo",
        "Paul",
        "Hugo",
        "Finn",
        "Oscar",
        "Otto",
        "Henry",
        "Adam",
        "Luke",
        "Noah",
        "Felix",
        "Simon",
        "David",
        "Emil",
    ]
)
CHILDREN = GIRLS + BOYS

GRANDMOTHER = _person("Grandmother", "woman")
GRANDFATHER = _person("Grandfather", "man")
ADULTS = (
    *(
        _person(f"the {role}", "man")
        for role in (
            "baker",
            "miller",
            "farmer",
            "fisherman",
            "smith",
            "shepherd",
            "postman",
            "sailor",
            "old man",
            "carpenter",
        )
    ),
    *(
        _person(f"the {role}", "woman")
        for role in (
            "baker",
            "farmer",
            "doctor",
            "gardener",
            "old woman",
            "tailor",
            "cook",
            "painter",
            "shepherd",
            "weaver",
        )
    ),
)
TEACHERS = (_person("the teacher", "man"), _person("the teacher", "woman"))
SELLERS = tuple(
    _person(f"the {role}", kind)
    for role in ("seller", "trader", "farmer", "shopkeeper")
    for kind in ("man", "woman")
)


def _places(preposition: str, nouns: str, outdoors: bool) -> tuple[Place, ...]:
    return tuple(
        Place(noun, f"{preposition} the {noun}", outdoors, f"the {noun}", f"to the {noun}")
        for noun in nouns.split()
    )


INDOORS = _places(
    "in", "mill barn kitchen attic cellar library bakery stable tower shop workshop hall", False
)
OUTDOORS = (
    *_places("in", "garden forest park meadow orchard yard square field valley", True),
    *_places("by", "river pond lake well", True),
    *_places("on", "hill beach bridge", True),
    *_places("at", "harbour farm", True),
)
PLACES = INDOORS + OUTDOORS
MARKET = Place("market", "at the market", True, "the market", "to the market")

INDOOR_SPOTS = (
    "under the bed",
    "behind the door",
    "on the table",
    "on the shelf",
    "behind the stove",
    "in the cupboard",
    "under the stairs",
    "in the drawer",
    "under the chair",
    "on the window sill",
    "behind the curtain",
    "in a big box",
)
OUTDOOR_SPOTS = (
    "under the bench",
    "in the long grass",
    "behind the fence",
    "near the gate",
    "under a tree",
    "in a bush",
    "on the wall",
    "beside the path",
    "in the straw",
    "between two stones",
    "behind the shed",
    "under a pile of leaves",
)


def _things(nouns: str, adjectives: str) -> tuple[Thing, ...]:
    return tuple(
        Thing(
            noun,
            adjective,
            f"{adjective} {noun}",
            f"the {adjective} {noun}",
            with_article(f"{adjective} {noun}"),
            f"the {noun}",
        )
        for noun in nouns.split()
        for adjective in adjectives.split()
    )


COLOURS = "red blue green yellow white black brown grey"
THINGS = (
    *_things("ball kite cup hat scarf bag umbrella box basket blanket", COLOURS),
    *_things("book lamp whistle brush pen jug bucket purse", f"{COLOURS} old new"),
    *_things("ring coin bell watch comb mirror", "silver golden old shiny little"),
    *_things("flute drum spoon boat doll horse", "wooden little red blue old"),
    *_things("key lantern map rope clock violin", "old big small black brown"),
)
BY_NOUN: dict[str, tuple[Thing, ...]] = {
    noun: tuple(thing for thing in THINGS if thing.noun == noun)
    for noun in dict.fromkeys(thing.noun for thing in THINGS)
}
"""The same things, by noun; a story takes at most one thing of a noun."""
THING_NOUNS = tuple(BY_NOUN)


def _animals(noun: str, many: str, adjectives: str, voice: str, ran: str) -> tuple[Animal, ...]:
    return tuple(
        Animal(
            noun,
            many,
            f"{adjective} {noun}",
            f"the {adjective} {noun}",
            with_article(f"{adjective} {noun}"),
            f"the {noun}",
            voice,
            ran,
        )
        for adjective in adjectives.split()
    )


_DOG = _animals("dog", "dogs", "brown black white big little old young", "barked", "ran off")
_CAT = _animals("cat", "cats", "grey black white fat little old", "meowed", "ran off")
_GOAT = _animals("goat", "goats", "white brown old young hungry", "bleated", "trotted off")
_PIG = _animals("pig", "pigs", "pink fat little clever", "grunted", "ran off")
_HEN = _animals("hen", "hens", "brown white fat red", "clucked", "fluttered off")
_GOOSE = _animals("goose", "geese", "white grey angry fat", "hissed", "waddled off")
_DUCK = _animals("duck", "ducks", "white brown little", "quacked", "waddled off")
_FOX = _animals("fox", "foxes", "red young clever old", "yelped", "slipped away")
_CROW = _animals("crow", "crows", "black old clever young", "cawed", "flew away")
_MOUSE = _animals("mouse", "mice", "grey little tiny brown", "squeaked", "ran away")
_RABBIT = _animals("rabbit", "rabbits", "white brown little grey", "squeaked", "hopped away")
_DONKEY = _animals("donkey", "donkeys", "grey old brown", "brayed", "trotted away")
_HORSE = _animals("horse", "horses", "brown white black old", "neighed", "trotted away")
_COW = _animals("cow", "cows", "brown white black big", "mooed", "walked away")
_SHEEP = _animals("sheep", "sheep", "white black fat", "bleated", "ran away")
_SQUIRREL = _animals("squirrel", "squirrels", "red brown little", "chattered", "climbed away")
_OWL = _animals("owl", "owls", "white brown old grey", "hooted", "flew away")
_HEDGEHOG = _animals("hedgehog", "hedgehogs", "little brown fat", "snuffled", "crept away")
_FROG = _animals("frog", "frogs", "green little fat", "croaked", "hopped away")
_MONKEY = _animals("monkey", "monkeys", "little brown clever", "screeched", "climbed away")
_PARROT = _animals("parrot", "parrots", "green red blue", "screeched", "flew away")
_PUPPY = _animals("puppy", "puppies", "brown black white", "yelped", "ran off")
_KITTEN = _animals("kitten", "kittens", "grey black white", "meowed", "ran off")
_LAMB = _animals("lamb", "lambs", "white black little", "bleated", "ran away")

PETS = (_DOG, _CAT, _PUPPY, _KITTEN, _RABBIT, _PARROT, _MONKEY)
THIEVES = (_DOG, _CAT, _GOAT, _PIG, _GOOSE, _CROW, _MONKEY, _FOX, _PUPPY, _DONKEY, _SQUIRREL)
NIGHT_ANIMALS = (_OWL, _CAT, _HEDGEHOG, _MOUSE, _FOX, _KITTEN, _DOG, _SQUIRREL, _PARROT)
SMALL_ANIMALS = (_KITTEN, _PUPPY, _LAMB, _RABBIT, _HEDGEHOG, _DUCK, _HEN, _OWL, _SQUIRREL)
WILD_ANIMALS = (_FOX, _CROW, _RABBIT, _SQUIRREL, _OWL, _HEDGEHOG, _FROG, _DUCK)
FARM_ANIMALS = (_GOAT, _PIG, _HEN, _GOOSE, _DUCK, _DONKEY, _HORSE, _COW, _SHEEP, _LAMB)
RACERS = (_DOG, _GOAT, _PIG, _DONKEY, _HORSE, _RABBIT, _DUCK, _GOOSE, _PUPPY)
ANIMALS = tuple(dict.fromkeys(PETS + THIEVES + NIGHT_ANIMALS + WILD_ANIMALS + FARM_ANIMALS))


def _goods(one: str, many: str = "") -> Goods:
    many = many or plural(one)
    counts = (f"no {many}", f"one {one}", *(f"{number} {many}" for number in NUMBERS[2:]))
    return Goods(one, many, counts)


FRUIT = tuple(
    _goods(one)
    for one in [
        "apple",
        "pear",
        "plum",
        "cherry",
        "peach",
        "carrot",
        "onion",
        "potato",
        "tomato",
        "turnip",
    ]
)
BAKED = (*(_goods(one) for one in ["cake", "bun", "pie", "roll", "biscuit", "pancake"]),)
FARM_GOODS = (_goods("egg"), _goods("nut"), _goods("cheese"), _goods("sausage"))
FOOD = (*FRUIT, *BAKED, *FARM_GOODS)
FINDABLE = tuple(_goods(one) for one in ["shell", "flower", "feather", "stone"])
KEEPSAKES = (*FINDABLE, *(_goods(one) for one in ["button", "candle", "marble", "stamp"]))
GOODS = FOOD + KEEPSAKES
WEARABLES = ("hat", "scarf", "bag")


_MORE_WORDS = """
sun moon star rain snow wind cloud storm night day week year morning winter summer spring road path
stone tree leaf grass wood fire water milk bread soup tea honey butter salt sugar fish house door
window roof wall fence gate shed table chair bed shelf plate coat shoe hand foot head heart eye
mother father sister friend baker farmer miller sailor doctor cook king song story music game race
prize gift school lesson word test train bus cart wheel boat sea island castle city happy sad tired
angry hungry cold warm wet dry dark light big little old new young kind brave quiet walk run sing
sleep eat drink play work help find give take bring buy sell hide look laugh cry jump swim
read write learn teach think know say tell ask answer hear see smell feel touch come go ride drive
climb fall stand sit wait open close begin end early late soon now then here there left right north
south east west above below high low fast slow good bad long short round flat soft hard clean dirty
sweet sour full empty rich poor tall deep wide thin thick name letter number page paper board desk
floor stairs lock candle smoke ash coal iron wool silk cloth needle thread button pocket glove boot
sand wave shell ship sail net hook storm thunder mud dust ice frost fog sky earth world land
"""


def _spelling_words() -> tuple[str, ...]:
    nouns = [
        *THING_NOUNS,
        *(place.noun for place in PLACES),
        *(kind[0].noun for kind in ANIMALS),
        *(goods.one for goods in GOODS),
        *COLOURS.split(),
        *NUMBERS[1:],
        *_MORE_WORDS.split(),
    ]
    return tuple(dict.fromkeys(word for word in nouns if 3 <= len(word) <= 4))


SPELLING_WORDS = _spelling_words()
"""Words of three and four letters, for lessons and for spelling questions: few enough for a small
model to meet each of them often."""
