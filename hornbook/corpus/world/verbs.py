"""Verbs in three forms, grouped by what follows them."""

from typing import NamedTuple


class Verb(NamedTuple):
    """`base` for several people now, `third` for one now, `past` for both; then `rest`."""

    base: str
    third: str
    past: str
    rest: str = ""

    def with_rest(self, rest: str) -> "Verb":
        """The same verb with what follows it."""
        return Verb(self.base, self.third, self.past, rest)


def _verbs(table: str) -> tuple[Verb, ...]:
    """Rows of `base third past rest…`, one a line."""
    rows = (line.split(maxsplit=3) for line in table.strip().splitlines())
    return tuple(Verb(*row) for row in rows)


MOTION = _verbs("""
go goes went
walk walks walked
run runs ran
ride rides rode
hurry hurries hurried
come comes came
drive drives drove
""")
"""Followed by "to" and a place."""

STAY = _verbs("""
sit sits sat
sleep sleeps slept
stand stands stood
wait waits waited
sing sings sang
play plays played
work works worked
hide hides hid
stay stays stayed
dance dances danced
rest rests rested
""")
"""Followed by where."""

HANDLE = _verbs("""
take takes took
find finds found
buy buys bought
sell sells sold
hold holds held
bring brings brought
lose loses lost
see sees saw
break breaks broke
hide hides hid
carry carries carried
keep keeps kept
drop drops dropped
mend mends mended
clean cleans cleaned
paint paints painted
choose chooses chose
throw throws threw
get gets got
leave leaves left
forget forgets forgot
want wants wanted
show shows showed
""")
"""Followed by a thing."""

FEED = _verbs("""
eat eats ate
buy buys bought
sell sells sold
cook cooks cooked
wash washes washed
count counts counted
steal steals stole
bring brings brought
share shares shared
pick picks picked
""")
"""Followed by food."""

TEND = _verbs("""
feed feeds fed
see sees saw
hear hears heard
follow follows followed
call calls called
meet meets met
lead leads led
catch catches caught
watch watches watched
love loves loved
""")
"""Followed by an animal."""

COMPLETE = _verbs("""
wake wakes woke up early
drink drinks drank warm milk
tell tells told a long story
write writes wrote a letter
swim swims swam in the lake
sing sings sang an old song
ring rings rang the bell
sweep sweeps swept the floor
grow grows grew beans
dig digs dug a deep hole
build builds built a wall
light lights lit the fire
pay pays paid for the bread
say says said good night
know knows knew the way
send sends sent a letter
speak speaks spoke to the doctor
fall falls fell asleep
draw draws drew a picture
feel feels felt tired
have has had a cold
make makes made hot soup
think thinks thought of the sea
bake bakes baked bread
open opens opened the window
help helps helped the farmer
climb climbs climbed a tree
look looks looked at the stars
""")
"""Followed by nothing more."""

HABITS = tuple(
    verb for verb in COMPLETE if verb.base not in ("know", "have", "feel", "fall", "say")
)
"""Those of the last that one can do every day."""

WEATHER = (
    ("the sun shines", "the sun shone"),
    ("the rain stops", "the rain stopped"),
    ("the wind blows", "the wind blew"),
    ("the snow falls", "the snow fell"),
    ("the bell rings", "the bell rang"),
    ("the cock crows", "the cock crowed"),
    ("the day begins", "the day began"),
    ("the work is done", "the work was done"),
    ("the moon rises", "the moon rose"),
)
"""What happens while somebody does something, now and in the past."""
