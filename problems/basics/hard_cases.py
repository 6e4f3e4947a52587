"""Training families of the harder tier with cases that leave nothing out; `family.py` explains the
form."""

from problems.basics.family import (
    BITS,
    GRID,
    INTERVALS,
    LONG_INTS,
    LONG_PAIRS,
    LONG_POSITIVES,
    LONG_WORDS,
    NATURAL,
    TABLE,
    TEXT,
    hard,
    many,
)

FIVE = many(lambda rng, constants: rng.randint(1, 4), 5, 5)


@hard(k=[2, 4, 6])
def name_numbers(nums: LONG_INTS, *, k):
    """goes through the list `nums` and builds a list of strings: for an even number, 'even' is
    appended, for any other number that is less than {k}, 'low' is appended, and for all others,
    'high'; it returns the list"""
    result = []
    for x in nums:
        name = "high"
        if x % 2 == 0:
            name = "even"
        elif x < k:
            name = "low"
        result.append(name)
    return result


@hard(k=[3, 4, 5])
def halve_or_lower(nums: LONG_POSITIVES, *, k):
    """goes through the list `nums` and builds a new list: an even number is divided by 2 (with //)
    and appended, any other number that is greater than {k} is lowered by {k} and appended, and all
    others are appended unchanged; it returns the new list"""
    result = []
    for x in nums:
        if x % 2 == 0:
            half = x // 2
            result.append(half)
        elif x > k:
            result.append(x - k)
        else:
            result.append(x)
    return result


@hard(k=[2, 3])
def dashes_between(text: TEXT, *, k):
    """goes through the indices i of the string `text` and builds a new string: if i is divisible by
    {k}, '-' and then the character at i are added, and otherwise the character at i is added in
    upper case; it returns the new string"""
    result = ""
    for i in range(len(text)):
        ch = text[i]
        if i % k == 0:
            result += "-" + ch
        else:
            result += ch.upper()
    return result


@hard(k=[3, 4])
def size_or_letter(words: LONG_WORDS, *, k):
    """goes through the list `words` and builds a list: for a word with more than {k} letters, its
    length is appended, and for any other word, its first letter; it returns the list"""
    result = []
    for word in words:
        size = len(word)
        if size > k:
            result.append(size)
        else:
            result.append(word[0])
    return result


@hard(k=[3, 5, 6])
def loud_names(pairs: LONG_PAIRS, *, k):
    """goes through the list `pairs`, whose elements are lists of a name and a number, and builds a
    list: if the number is greater than {k}, the name is appended in upper case, if it is 0, '-' is
    appended, and otherwise the name is appended unchanged; it returns the list"""
    result = []
    for name, number in pairs:
        if number > k:
            loud = name.upper()
            result.append(loud)
        elif number == 0:
            result.append("-")
        else:
            result.append(name)
    return result


@hard(k=[1, 2, 3])
def start_or_length(intervals: INTERVALS, *, k):
    """goes through the list `intervals` of lists [start, end] with a total that is 0 at first: if
    start is even, start plus {k} is added to the total, and if it is odd, end - start is added; it
    returns the total"""
    total = 0
    for start, end in intervals:
        length = end - start
        if start % 2 == 0:
            total += start + k
        else:
            total += length
    return total


@hard(k=[0, 5, 9])
def larger_of_both(first: FIVE, second: FIVE, *, k):
    """returns a list with one number for each index i of the lists `first` and `second`, which have
    the same length: the larger one of first[i] and second[i] if they differ, and {k} if they are
    equal"""
    result = []
    for i in range(len(first)):
        a = first[i]
        b = second[i]
        if a == b:
            result.append(k)
        else:
            result.append(max(a, b))
    return result


@hard(k=[2, 3, 4])
def rise_and_sink(bits: BITS, *, k):
    """goes through the list `bits` with a value that is 0 at first: a 1 adds {k} to the value, and
    a 0 subtracts 1 from it, but only if the value is greater than 0; it returns the value"""
    value = 0
    zeros = 0
    for bit in bits:
        if bit == 1:
            value += k
        else:
            zeros += 1
            if value > 0:
                value -= 1
    return value


@hard(k=[3, 4, 5])
def multiples_minus_rest(n: NATURAL, *, k):
    """goes through the numbers from 1 to `n` with a total that is 0 at first: a number divisible by
    {k} is added to the total, any other even number adds 1, and all other numbers subtract 1; it
    returns the total"""
    total = 0
    for i in range(1, n + 1):
        rest = i % k
        if rest == 0:
            total += i
        elif i % 2 == 0:
            total += 1
        else:
            total -= 1
    return total


@hard(k=["g", "m", "p"])
def sort_letters(text: TEXT, *, k):
    """goes through the string `text` and builds a new string: a vowel (a, e, i, o, u) is added in
    upper case, any other letter that comes after {k!r} in the alphabet is added unchanged, and for
    all others, '-' is added; it returns the new string"""
    result = ""
    for ch in text:
        new = "-"
        if ch in "aeiou":
            new = ch.upper()
        elif ch > k:
            new = ch
        result += new
    return result


@hard(sep=["/", "+", ":"])
def halves_of_words(words: LONG_WORDS, *, sep):
    """goes through the list `words` and builds a string that is empty at first: of a word with an
    even number of letters, the first half is added, of any other word the last letter, and after
    each of them {sep!r} is added; it returns the string"""
    result = ""
    for word in words:
        size = len(word)
        if size % 2 == 0:
            result += word[: size // 2]
        else:
            result += word[-1]
        result += sep
    return result


@hard(k=[8, 10, 12])
def table_balance(scores: TABLE, *, k):
    """goes through the values of the dict `scores` with a balance that is 0 at first: a negative
    value subtracts 1 from the balance, a value greater than {k} adds 2 to it, and any other value
    adds 1; it returns the balance"""
    balance = 0
    for name in scores:
        value = scores[name]
        if value < 0:
            balance -= 1
        elif value > k:
            balance += 2
        else:
            balance += 1
    return balance


@hard(k=[3, 4])
def two_word_lists(words: LONG_WORDS, *, k):
    """returns a list of two lists: the words of the list `words` with at most {k} letters, and the
    first letters of its other words, each in their order"""
    short = []
    letters = []
    for word in words:
        if len(word) <= k:
            short.append(word)
        else:
            letters.append(word[0])
    return [short, letters]


@hard(k=[2, 3, 5])
def row_ends(grid: GRID, *, k):
    """goes through the rows of `grid`, a list of lists of numbers, and builds a list: for a row
    with at least 3 numbers, its first number times {k} is appended, and for any other row, its last
    number minus {k}; it returns the list"""
    result = []
    for row in grid:
        size = len(row)
        if size >= 3:
            result.append(row[0] * k)
        else:
            result.append(row[-1] - k)
    return result


@hard(k=[1, 2, 3])
def climb_and_slip(nums: LONG_INTS, *, k):
    """goes through the list `nums` with a height that is 0 at first: a number greater than the
    height adds {k} to the height, a number equal to it changes nothing, and a number less than it
    subtracts 1; it returns the height"""
    height = 0
    equal = 0
    for x in nums:
        if x > height:
            height += k
        elif x < height:
            height -= 1
        else:
            equal += 1
    return height


@hard(k=[2, 3, 4])
def swap_when_far(nums: LONG_INTS, *, k):
    """goes through the indices i from 1 to the end of the list `nums` and builds a list: if nums[i]
    is greater than nums[i - 1] by more than {k}, 'up' is appended, if it is less than nums[i - 1],
    'down' is appended, and otherwise 'flat'; it returns the list"""
    result = []
    for i in range(1, len(nums)):
        step = nums[i] - nums[i - 1]
        word = "flat"
        if step > k:
            word = "up"
        elif step < 0:
            word = "down"
        result.append(word)
    return result
