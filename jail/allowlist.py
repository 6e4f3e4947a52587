"""What a program may contain if its variables are to be asked for; forgery.py reads the tables.

They hold together like this. A module is no value: it is written only in `module.name`, and MODULES
says which names. A class of classes is no value either, so no class has computed names. Without a
module, a metaclass or a computed attribute, an object leads only to the attributes that the program
spells. These are ATTRIBUTES, which are of plain values, and the program's own, unless Python shows
its insides under such a name (INSIDES). Python runs a function of the program only where the
program calls it, or hands it to a function of the library that says so: classes are plain, and have
no method that an operator, a set or the end of an object calls. A program that raises ends, so none
can tell where the machine's limits are.

Left out, because programs that solve problems hardly use it: `try`, `with`, `match`, `yield from`,
classes that inherit or are decorated, and modules that make or compare objects in Python. Left out,
because nobody can predict it: random, time, hash() and id(), and what tells a traced run from
another (dir, sys.getrefcount).
"""
# ruff: noqa: SIM905 (long lists of words are read best as text)

import ast
import builtins
import importlib
import io
import re

SYNTAX = tuple(  # nothing that a later Python adds
    getattr(ast, name)
    for name in """
    Module FunctionDef Lambda ClassDef Return Delete Assign AugAssign AnnAssign For While If
    Raise Assert Import ImportFrom Global Nonlocal Expr Pass Break Continue
    BoolOp NamedExpr BinOp UnaryOp IfExp Dict Set ListComp SetComp DictComp GeneratorExp
    Yield Compare Call JoinedStr FormattedValue Constant Attribute Subscript
    Starred Name List Tuple Slice comprehension arguments arg keyword alias
    boolop operator unaryop cmpop expr_context
    """.split()
)
TYPES = set(
    """bool bytes complex dict float frozenset int list object range set slice str
    tuple""".split()
)
# `type` may be used in the ways that Reader names.
BUILTINS = TYPES | set(
    """abs all any ascii bin callable chr classmethod divmod enumerate exit filter format hex input
    isinstance issubclass iter len map max min next oct ord pow print quit repr reversed round
    sorted staticmethod sum zip NotImplemented Ellipsis

    BaseException Exception ArithmeticError AssertionError AttributeError EOFError ImportError
    IndexError KeyError LookupError NameError NotImplementedError OverflowError RuntimeError
    StopIteration SystemExit TypeError UnboundLocalError ValueError ZeroDivisionError""".split()
)

# What may be used of each module. A module may be imported for nothing, as data sets do.
MODULES = {
    module: set(names.split())
    for module, names in {
        "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
        "cmath": """acos asin atan cos e exp inf infj isclose isfinite isinf isnan log log10 nan
            nanj phase pi polar rect sin sqrt tan tau""",
        "collections": "ChainMap Counter OrderedDict defaultdict deque",
        "copy": "copy deepcopy",
        "functools": "cache cmp_to_key lru_cache partial reduce",
        "heapq": "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest",
        "itertools": """accumulate chain combinations combinations_with_replacement compress count
            cycle dropwhile filterfalse groupby islice pairwise permutations product repeat starmap
            takewhile tee zip_longest""",
        "math": """acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees
            dist e erf erfc exp exp2 expm1 fabs factorial floor fmod frexp fsum gamma gcd hypot inf
            isclose isfinite isinf isnan isqrt lcm ldexp lgamma log log10 log1p log2 modf nan
            nextafter perm pi pow prod radians remainder sin sinh sqrt tan tanh tau trunc ulp""",
        "operator": """abs add and_ concat contains countOf eq floordiv ge getitem gt iadd iand
            iconcat ifloordiv ilshift imod imul index indexOf inv invert ior ipow irshift
            isub itemgetter itruediv ixor le lshift lt mod mul ne neg not_ or_ pos pow rshift
            setitem sub truediv truth xor""",
        "random": "",
        "re": """A ASCII DOTALL I IGNORECASE M MULTILINE S VERBOSE X compile escape findall finditer
            fullmatch match search split sub subn""",
        "statistics": """fmean geometric_mean harmonic_mean mean median median_high median_low mode
            multimode pstdev pvariance quantiles stdev variance""",
        "string": """ascii_letters ascii_lowercase ascii_uppercase capwords digits hexdigits
            octdigits printable punctuation whitespace""",
        "sys": "exit maxsize setrecursionlimit stderr stdin stdout",
        "time": "",
        "typing": """Any Callable Counter DefaultDict Deque Dict FrozenSet Iterable Iterator List
            Literal Mapping NoReturn Optional OrderedDict Sequence Set Text Tuple Union""",
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
        reverse rotate sort""",
    "set": """
        add difference difference_update discard intersection intersection_update isdisjoint
        issubset issuperset symmetric_difference symmetric_difference_update union update""",
    "dict": """
        default_factory elements fromkeys get items keys most_common move_to_end popitem
        setdefault subtract total values""",
    "range": "indices start step stop",
    "re": """
        end endpos expand findall finditer flags fullmatch group groupdict groupindex groups
        lastgroup lastindex match pattern pos re search span string sub subn value""",
    "files": """
        buffer close closed flush mode name peek read readline readlines write writelines""",
    "functions": "cache_clear from_iterable",
}
ATTRIBUTES = {name for names in ATTRIBUTES_OF.values() for name in names.split()}

OPERATORS = {f"__{name}__" for name in "add contains getitem len mul sub".split()}
DECORATORS = {"cache", "classmethod", "lru_cache", "staticmethod"}
# What of the library may stand only where Reader says: files, which no other Python has like ours,
# types, which stand in annotations, and what is called: deepcopy() leaks addresses if it is given
# more, and jail/chance.py has a setrecursionlimit() of its own.
FILES = {"sys.stderr", "sys.stdin", "sys.stdout"}
FILE_ATTRIBUTES = set(ATTRIBUTES_OF["files"].split()) - {"closed", "mode", "name", "peek"}
CALLED = {"copy.deepcopy", "sys.setrecursionlimit"}
TYPING = MODULES["typing"] - MODULES["collections"]  # typing.Counter makes the same as the other
PLACED = {*CALLED, *FILES, *(f"typing.{name}" for name in TYPING)}
ITERATE = set("all any enumerate filter list map next set sorted tuple zip".split())
MAY_BE_SAID = {*OPERATORS, "__init__", "__main__", "__name__", "__doc__"}  # in a text


def classes_of(module: str) -> list[type]:
    return [x for x in vars(importlib.import_module(module)).values() if isinstance(x, type)]


LIBRARY = {  # {"collections.Counter": what this name stands for, "re.I": the same}
    f"{module}.{name}": value
    for module, names in MODULES.items()
    for name, value in vars(importlib.import_module(module)).items()
    if name in names
}
FILE_TYPES = (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.FileIO)
KINDS = {*map(vars(builtins).get, TYPES), type, BaseException, *FILE_TYPES, re.Pattern, re.Match}
KINDS |= {*map(type, LIBRARY.values()), *classes_of("types")}
KINDS |= {value for value in LIBRARY.values() if isinstance(value, type)}
# What a value that a program can get at has besides: a frame, code, a clock, an address. A program
# may not use such a name for an attribute of its own, because we cannot tell whose it reads.
INSIDES = {name for kind in KINDS for part in kind.__mro__ for name in [*dir(part), *vars(part)]}
INSIDES |= {
    name
    for module in MODULES
    for kind in classes_of(module)
    for name in dir(kind)
    if name.startswith("_")
}
INSIDES -= ATTRIBUTES


IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: of a class whose attributes cannot be replaced
classes = {name: getattr(value, "__origin__", value) for name, value in LIBRARY.items()}
PATCHABLE = {  # name of a class, perhaps typing's -> its attributes that a program could replace
    name: {attribute for attribute in dir(kind) if not attribute.startswith("__")}
    for name, kind in classes.items()
    if isinstance(kind, type) and not kind.__flags__ & IMMUTABLE
}
