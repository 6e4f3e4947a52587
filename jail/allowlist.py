"""What a program may contain if its variables are to be asked for; forgery.py reads the tables.

They hold together like this. A module is no value: it is written only in `module.name`, and MODULES
says which names. A class of classes is no value either, so no class has computed names. Without a
module, a metaclass or a computed attribute, an object leads only to the attributes that the program
spells. These are ATTRIBUTES, which are of plain values, and the program's own, unless Python shows
its insides under such a name (INSIDES).

Left out: enum and typing.NamedTuple, which make classes from computed names; random, time, hash()
and id(), which nobody can predict; what tells a traced run from another (dir, sys.getrefcount); and
all that notices an object's end (`__del__`), because a record may keep the object longer.
"""
# ruff: noqa: SIM905 (long lists of words are read best as text)

import ast
import builtins
import contextlib
import importlib
import inspect
import io
from abc import ABCMeta

SYNTAX = tuple(  # no async, no `except*`, and nothing that a later Python adds
    getattr(ast, name)
    for name in """
    Module FunctionDef Lambda ClassDef Return Delete Assign AugAssign AnnAssign For While If
    With Raise Try Assert Import ImportFrom Global Nonlocal Expr Pass Break Continue Match
    BoolOp NamedExpr BinOp UnaryOp IfExp Dict Set ListComp SetComp DictComp GeneratorExp
    Yield YieldFrom Compare Call JoinedStr FormattedValue Constant Attribute Subscript
    Starred Name List Tuple Slice comprehension ExceptHandler arguments arg keyword alias
    withitem match_case pattern boolop operator unaryop cmpop expr_context
    """.split()
)
TYPES = set(
    """bool bytearray bytes complex dict float frozenset int list object range set slice str
    tuple""".split()
)
# `type` may be used in the ways that Reader names.
BUILTINS = TYPES | set(
    """abs all any ascii bin callable chr classmethod divmod enumerate exit filter format hex input
    isinstance issubclass iter len map max min next oct ord pow print property quit repr reversed
    round sorted staticmethod sum super zip NotImplemented Ellipsis

    BaseException Exception ArithmeticError AssertionError AttributeError EOFError ImportError
    IndexError KeyError LookupError NameError NotImplementedError OverflowError RuntimeError
    StopIteration SystemExit TypeError UnboundLocalError ValueError ZeroDivisionError""".split()
)

# What may be used of each module. A module may be imported for nothing, as data sets do.
MODULES = {
    module: set(names.split())
    for module, names in {
        "abc": "ABC abstractmethod",
        "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
        "cmath": """acos asin atan cos e exp inf infj isclose isfinite isinf isnan log log10 nan
            nanj phase pi polar rect sin sqrt tan tau""",
        "collections": "ChainMap Counter OrderedDict defaultdict deque namedtuple",
        "collections.abc": """Callable Collection Container Generator Hashable Iterable Iterator
            Mapping MutableMapping MutableSequence MutableSet Sequence Set Sized""",
        "copy": "copy deepcopy",
        "dataclasses": "dataclass field",  # field where Reader allows it; others compute names
        "datetime": "date datetime timedelta",
        "decimal": """Decimal ROUND_CEILING ROUND_DOWN ROUND_FLOOR ROUND_HALF_DOWN ROUND_HALF_EVEN
            ROUND_HALF_UP ROUND_UP getcontext""",
        "fractions": "Fraction",
        "functools": "cache cmp_to_key lru_cache partial reduce total_ordering",
        "heapq": """heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest""",
        "itertools": """accumulate chain combinations combinations_with_replacement compress count
            cycle dropwhile filterfalse groupby islice pairwise permutations product repeat starmap
            takewhile tee zip_longest""",
        "math": """acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees
            dist e erf erfc exp exp2 expm1 fabs factorial floor fmod frexp fsum gamma gcd hypot inf
            isclose isfinite isinf isnan isqrt lcm ldexp lgamma log log10 log1p log2 modf nan
            nextafter perm pi pow prod radians remainder sin sinh sqrt tan tanh tau trunc ulp""",
        "numbers": "Complex Integral Number Rational Real",
        "operator": """abs add and_ concat contains countOf eq floordiv ge getitem gt iadd iand
            iconcat ifloordiv ilshift imod imul index indexOf inv invert ior ipow irshift is_ is_not
            isub itemgetter itruediv ixor le lshift lt mod mul ne neg not_ or_ pos pow rshift
            setitem sub truediv truth xor""",
        "random": "",
        "re": """A ASCII DOTALL I IGNORECASE M MULTILINE S VERBOSE X compile escape findall finditer
            fullmatch match search split sub subn""",
        "sortedcontainers": "SortedDict SortedKeyList SortedList SortedSet",
        "statistics": """fmean geometric_mean harmonic_mean mean median median_high median_low mode
            multimode pstdev pvariance quantiles stdev variance""",
        "string": """ascii_letters ascii_lowercase ascii_uppercase capwords digits hexdigits
            octdigits printable punctuation whitespace""",
        "sys": "exit maxsize setrecursionlimit stderr stdin stdout",
        "textwrap": "dedent fill indent shorten wrap",
        "time": "",
        "typing": """AbstractSet Any AnyStr Callable ClassVar Collection Container Counter
            DefaultDict Deque Dict Final FrozenSet Generator Generic Hashable Iterable Iterator List
            Literal Mapping MutableMapping MutableSequence MutableSet NoReturn Optional OrderedDict
            Self Sequence Set Sized Text Tuple TypeAlias TypeVar Union cast""",
    }.items()
}

# Attributes of plain values, by the type that has them; str.format needs a look at the text.
ATTRIBUTES_OF = {
    "str bytes": """
        capitalize casefold center count decode encode endswith expandtabs find fromhex hex
        index isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric
        isprintable isspace istitle isupper join ljust lower lstrip maketrans partition
        removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split
        splitlines startswith strip swapcase title translate upper zfill""",
    "numbers": """
        as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag is_integer
        limit_denominator numerator real to_bytes""",
    "list deque": """
        append appendleft clear copy extend extendleft index insert maxlen pop popleft remove
        reverse rotate sort tolist typecode fromlist""",
    "set": """
        add difference difference_update discard intersection intersection_update isdisjoint
        issubset issuperset symmetric_difference symmetric_difference_update union update""",
    "dict": """
        default_factory elements fromkeys get items keys maps most_common move_to_end new_child
        parents popitem setdefault subtract total values""",
    "sorted": """
        bisect bisect_key bisect_key_left bisect_key_right bisect_left bisect_right irange
        irange_key islice key peekitem""",
    "range": "indices start step stop",
    "namedtuple": "_asdict _fields _make _replace",
    "Decimal": """
        adjusted compare copy_abs copy_negate copy_sign exp fma is_finite is_infinite is_nan
        is_signed is_zero ln log10 logb max min normalize prec quantize remainder_near rounding
        same_quantum scaleb shift sqrt to_eng_string to_integral to_integral_exact
        to_integral_value""",
    "date": """
        combine date day days fromisoformat fromordinal hour isocalendar isoformat isoweekday
        microsecond microseconds minute month second seconds time timetuple
        fold tm_yday toordinal total_seconds weekday year""",
    "re": """
        end endpos expand findall finditer flags fullmatch group groupdict groupindex groups
        lastgroup lastindex match pattern pos search span string sub subn""",
    "files": """
        buffer close closed flush mode name peek read readable readline
        readlines write writelines""",
    "functions": """
        cache_clear cache_info close currsize from_iterable func hits keywords misses
        maxsize send throw""",
    "properties": "deleter getter setter",
    "exceptions": "args code errno filename msg obj reason value",
}
ATTRIBUTES = {name for names in ATTRIBUTES_OF.values() for name in names.split()}

OPERATORS = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor"
METHODS = {  # that a class may define, and a program may call by name
    f"__{name}__"
    for name in [
        *"""abs bool bytes call ceil complex contains delitem enter eq exit float floor floordiv
        format ge getitem gt hash init int invert iter le len lt missing ne neg next pos
        post_init repr reversed round setitem str trunc""".split(),
        *(prefix + name for prefix in ("", "i", "r") for name in OPERATORS.split()),
    ]
}
DECORATORS = set(
    """abstractmethod cache classmethod dataclass deleter getter lru_cache property
    setter staticmethod total_ordering""".split()
)
# What of the library may stand only where Reader says: what leaks addresses if it is called with
# more, what changes the class that it is given, and files, which no other Python has like ours.
DECORATES = {"abc.abstractmethod", "dataclasses.dataclass", "functools.total_ordering"}
FILES = {"sys.stderr", "sys.stdin", "sys.stdout"}
FILE_ATTRIBUTES = set(ATTRIBUTES_OF["files"].split()) - {"closed", "mode", "name", "peek"}
PLACED = {"copy.deepcopy", "dataclasses.field", *DECORATES, *FILES}
ITERATE = set("all any enumerate filter list map next set sorted tuple zip".split())
MAY_BE_SAID = {*METHODS, "__main__", "__name__", "__class__", "__slots__", "__doc__"}  # in a text


# The classes of these modules may be derived from.
BASE_MODULES = tuple("abc collections datetime decimal fractions numbers typing".split())


def is_exception(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def classes_of(module: str) -> list[type]:
    try:
        return [x for x in vars(importlib.import_module(module)).values() if isinstance(x, type)]
    except ImportError:  # sortedcontainers need not be there
        return []


FILE_TYPES = (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.FileIO)
LISTED = {*map(vars(builtins).get, TYPES), type, ABCMeta, BaseException, *FILE_TYPES}
LISTED |= {
    kind
    for module, names in MODULES.items()
    for kind in classes_of(module)
    if kind.__name__ in names
}
# What a value that a program can get at has besides: a frame, code, a clock, an address. A program
# may not use such a name for an attribute of its own, because we cannot tell whose it reads.
INSIDES = {name for kind in [*LISTED, *classes_of("types")] for name in dir(kind)}
INSIDES |= {
    name
    for module in MODULES
    for kind in classes_of(module)
    for name in dir(kind)
    if name.startswith("_")
}
INSIDES -= ATTRIBUTES


def kinds() -> dict[str, type]:
    """{"collections.Counter": the class that this name leads to}."""
    found = {}
    for module, names in MODULES.items():
        with contextlib.suppress(ImportError):
            there = vars(importlib.import_module(module))
            for name in names & there.keys():
                kind = getattr(there[name], "__origin__", there[name])  # of typing.Counter
                if isinstance(kind, type):
                    found[f"{module}.{name}"] = kind
    return found


IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: of a class whose attributes cannot be replaced
PATCHABLE = {  # name of a class -> its attributes that a program could replace
    name: {attribute for attribute in dir(kind) if not attribute.startswith("__")}
    for name, kind in kinds().items()
    if not kind.__flags__ & IMMUTABLE
}
# It need not be there when this is imported, but may be later.
PATCHABLE |= {f"sortedcontainers.{name}": ATTRIBUTES for name in MODULES["sortedcontainers"]}
# What a class may be derived from. The class of any other value would be called instead of `type`.
BASE_TYPES = TYPES - {"bool", "range", "slice"} | {n for n in BUILTINS if is_exception(n)}
# Not if keys() is written in Python: its view closes what __iter__ of a derived class gives.
BASES = {
    name
    for name, kind in kinds().items()
    if name.startswith(BASE_MODULES) and not inspect.isfunction(getattr(kind, "keys", None))
}
BASES |= {f"sortedcontainers.{name}" for name in MODULES["sortedcontainers"] - {"SortedDict"}}
