"""Names, things and story templates of the word problems, and the tokenizer's words."""

import random

NAMES = """
Ada Alan Alice Amir Anna Anton Aria Ben Bella Bruno Carla Carlos Chen Chloe Clara Daniel
David Diana Diego Dora Edward Elena Eli Emil Emma Erik Eva Fatima Felix Fiona Frank
George Grace Hana Hannah Henry Hugo Ida Igor Ines Irene Isaac Ivan Jack Jamal James Jane
Jonas Julia Karim Kate Kofi Laura Lena Leo Lily Lina Lucas Luis Maria Marco Martin Maya
Mei Mia Milan Mona Nadia Nina Noah Nora Olga Oliver Omar Oscar Paul Pedro Peter Petra
Priya Rachel Rania Rita Robert Rosa Ruth Sam Samira Sara Simon Sofia Tara Theo Thomas
Tom Uma Vera Victor Walter Wanda Yara Yusuf Zara Zoe
""".split()

THINGS = """
acorns almonds apples apricots arrows badges bagels balloons bananas baskets batteries
beads beans berries biscuits blankets blocks books bottles bowls bracelets bricks
brushes buckets bulbs burgers buttons cakes candles candies cards carrots chairs
cherries chestnuts coats coins cookies corks crayons crowns cucumbers cups cushions
daisies diamonds dishes dolls drums eggs envelopes erasers feathers figs flags flowers
folders forks games gems gloves grapes guitars hammers hats helmets jackets jars jewels
keys kites kittens knives ladders lamps lanterns leaves lemons letters lilies magazines
magnets mangoes maps marbles masks medals melons mirrors muffins mugs mushrooms nails
napkins necklaces needles notebooks nuts olives onions oranges ornaments paintings
pancakes papers peaches peanuts pears pebbles pencils pens peppers photos pillows
pineapples pins plates plums postcards posters potatoes presents pretzels pumpkins
puppets puzzles radios ribbons rings robots rockets ropes roses rulers sandals
sandwiches scarves scissors screws seeds shells shirts shoes shovels snacks socks spoons
stamps statues stickers stones strawberries sweaters tablets tickets tiles tomatoes
towels toys trains trumpets tulips turnips umbrellas vases violins walnuts watches
whistles windows wires
""".split()

PLACES = """
attic bakery barn basement cabin cafe castle cellar clinic cottage factory farm garage
garden gym harbour hospital hotel house kitchen library market museum office park
pharmacy school shed shop stadium station store studio theatre tower village warehouse
workshop zoo
""".split()

CONTAINERS = """
bags barrels baskets boxes cabinets carts cases chests crates cupboards drawers jars
packets pots rows sacks shelves shipments stacks trays trucks tubs wagons
""".split()

# Words that people write around such problems. Only the tokenizer learns them, so that
# other phrasings stay short.
COMMON_WORDS = """
about above across add after again against all almost along also always among amount
another answer any around ask away back because before begin below beside best better
between both bring build but call cannot change child children choose class clear close
cold colour compare complete correct cost could count country cut dark deep did
difference different distance divide does dollar double down draw drive during early
earn east eight eighteen eighty eleven empty end enough equal euro even evening every
exactly example expect eye fall family far fast father feel few field fifteen fifty
find finish first five follow food foot forty four fourteen friend from full further
girl good great greater green group grow half happen hard hear heavy height hello help
here high himself hold home hour hundred idea important inside into itself join journey
just know large larger largest last later learn least leave left length less let life
light line list little live long look lower make man many mark may mean measure meet
middle might mile minus minute money month morning most mother mountain move much
multiply must name near never next night nine nineteen ninety nothing number odd off
often old once one only open order other out outside over page pair part pass past
pattern pay people person piece place plan play please plus point pound price problem
product put quarter question quick quotient rather reach read ready remainder rest
result return right river road round row rule run same save say second see sell send
sentence sequence series seven seventeen seventy several shall share she short should
show side sign simple since six sixteen sixty small smaller smallest some something soon
sort south space spend split square stand start stay step still stop story street
student subtract such sum sure table take talk tall tell ten than that the their them
these thing think third thirteen thirty this those thousand three through time times
today together tomorrow total toward travel triple true try turn twelve twenty twice two
under until upon use usual value very visit wait walk want water way week weight well
west what when where which while white whole whose why wide will win winter with within
without woman word work world would write wrong year yes yesterday yet you young your
zero
""".split()

# {n} and {m} are two people, {t} things, {p} a place, {c} containers, {a} and {b} the
# operands in the order of the sum: a + b, a - b, a * b.
TEMPLATES: dict[str, list[str]] = {
    "+": [
        "{n} has {a} {t} and buys {b} more. How many {t} does {n} have?",
        "{n} has {a} {t}. {m} gives {n} {b} more. How many {t} does {n} have now?",
        "{n} has {a} {t} and {m} has {b}. How many {t} do they have together?",
        "There are {a} {t} in the {p}. Then {b} more arrive. How many are there now?",
        "{n} found {a} {t} on Monday and {b} on Tuesday. How many in total?",
        "The {p} sold {a} {t} yesterday and {b} today. How many were sold?",
    ],
    "-": [
        "{n} has {a} {t} and loses {b}. How many {t} are left?",
        "{n} has {a} {t} and gives {b} to {m}. How many {t} does {n} keep?",
        "There are {a} {t} in the {p}. {n} takes {b}. How many remain?",
        "{n} made {a} {t} and sold {b} of them. How many {t} are left?",
        "{n} has {a} {t}. {m} has {b} fewer. How many {t} does {m} have?",
        "{n} needs {a} {t} and already has {b}. How many more are needed?",
    ],
    "*": [
        "Each box holds {a} {t}. {n} fills {b} boxes. How many {t} is that?",
        "The {p} has {b} {c} with {a} {t} each. How many {t} are there?",
        "{n} buys {a} {t} every day for {b} days. How many {t} in all?",
        "A set of {t} costs {a} coins. What do {b} sets cost {n}?",
    ],
}


def template(rng: random.Random) -> tuple[str, str]:
    """An operator and one of its templates."""
    operator = rng.choice(list(TEMPLATES))
    return operator, rng.choice(TEMPLATES[operator])


def fill(text: str, a: int, b: int, rng: random.Random) -> str:
    """Put the operands and random people, things and places into a template."""
    n, m = rng.sample(NAMES, 2)
    t, p, c = rng.choice(THINGS), rng.choice(PLACES), rng.choice(CONTAINERS)
    return text.format(n=n, m=m, t=t, p=p, c=c, a=a, b=b)
