"""Training families of the harder tier that follow a rule of several cases, step by step;
`family.py` explains the form."""

from problems.basics.family import (
    GRID,
    INTERVALS,
    LONG_INTS,
    LONG_PAIRS,
    LONG_POSITIVES,
    LONG_WORDS,
    NATURAL,
    TABLE,
    hard,
    text_of,
)

BRACKETS = text_of("((xx)", 5, 9, "")
KEYS = text_of("abc<", 5, 9, "<a")


@hard(mark=["*", "#", "-"])
def typed_text(keys: KEYS, *, mark):
    """goes through the string `keys` and builds a new string: for the character '<', the last
    letter of the new string is removed (nothing happens if it is empty), a character that is equal
    to the last one of the new string is left out, and any other character is added; it returns the
    new string followed by {mark!r}"""
    text = ""
    for key in keys:
        last = text[-1:]
        if key == "<":
            text = text[:-1]
        elif key != last:
            text += key
    return text + mark


@hard(k=[1, 2])
def depth_letters(text: BRACKETS, *, k):
    """goes through the string `text` with two numbers, `depth` and `count`, that are 0 at first:
    '(' adds 1 to `depth`, ')' subtracts 1 from `depth`, and any other character adds 1 to `count`
    if `depth` is at least {k}; it returns `count`"""
    depth = 0
    count = 0
    for ch in text:
        if ch == "(":
            depth += 1
        elif ch == ")":
            depth -= 1
        elif depth >= k:
            count += 1
    return count


@hard(k=[0, 5, 10])
def account_after(changes: LONG_INTS, *, k):
    """goes through the list `changes` with a balance that is {k} at first: if the balance plus the
    number is at least 0, the number is added to the balance, and otherwise the number is skipped;
    it returns the balance"""
    balance = k
    for change in changes:
        after = balance + change
        if after >= 0:
            balance = after
    return balance


@hard(bonus=[2, 3, 5])
def game_points(scores: LONG_INTS, *, bonus):
    """goes through the indices i of the list `scores` with points that are 0 at first: scores[i] is
    added to the points, and if i is greater than 0 and scores[i] is greater than scores[i - 1],
    {bonus} is added as well; it returns the points"""
    points = 0
    for i in range(len(scores)):
        score = scores[i]
        points += score
        if i > 0 and score > scores[i - 1]:
            points += bonus
    return points


@hard(k=[4, 5, 6])
def tired_walk(steps: LONG_POSITIVES, *, k):
    """goes through the list `steps` with a way that is 0 at first: a number greater than {k} adds
    {k} to the way, an even number that is not greater adds its double, and any other number is
    added itself; it returns the way"""
    way = 0
    for step in steps:
        if step > k:
            way += k
        elif step % 2 == 0:
            double = step * 2
            way += double
        else:
            way += step
    return way


@hard(k=[2, 4, 6])
def name_numbers(nums: LONG_INTS, *, k):
    """goes through the indices i of the list `nums` and builds a list: if nums[i] is even, 'even'
    is appended, if it is odd and less than {k}, 'low' is appended, and otherwise the index i; it
    returns the list"""
    result = []
    for i in range(len(nums)):
        x = nums[i]
        if x % 2 == 0:
            result.append("even")
        elif x < k:
            result.append("low")
        else:
            result.append(i)
    return result


@hard(k=[3, 4, 5])
def halve_or_lower(nums: LONG_POSITIVES, *, k):
    """goes through the list `nums` and builds a new list: an even number is divided by 2 (with //)
    and appended, any other number that is greater than {k} is lowered by {k} and appended, and all
    others are appended twice; it returns the new list"""
    result = []
    for x in nums:
        if x % 2 == 0:
            half = x // 2
            result.append(half)
        elif x > k:
            result.append(x - k)
        else:
            result.append(x)
            result.append(x)
    return result


@hard(k=[3, 4])
def size_or_letter(words: LONG_WORDS, *, k):
    """goes through the list `words` and builds a list: for a word with more than {k} letters, its
    length is appended, for any other word that begins with a vowel (a, e, i, o, u), 0 is appended,
    and for all others, their first letter; it returns the list"""
    result = []
    for word in words:
        size = len(word)
        if size > k:
            result.append(size)
        elif word[0] in "aeiou":
            result.append(0)
        else:
            result.append(word[0])
    return result


@hard(k=[3, 5, 6])
def loud_names(pairs: LONG_PAIRS, *, k):
    """goes through the list `pairs`, whose elements are lists of a name and a number, and builds a
    list: if the number is greater than {k}, the name is appended in upper case, if it is even and
    not greater, the name is left out, and otherwise the name is appended unchanged; it returns the
    list"""
    result = []
    for name, number in pairs:
        even = number % 2 == 0
        if number > k:
            result.append(name.upper())
        elif not even:
            result.append(name)
    return result


@hard(k=[1, 2, 3])
def start_or_length(intervals: INTERVALS, *, k):
    """goes through the list `intervals` of lists [start, end] with a total that is 0 at first: if
    start is even, start is added to the total; otherwise, if end - start is greater than {k}, end -
    start is added; otherwise 1 is subtracted; it returns the total"""
    total = 0
    for start, end in intervals:
        length = end - start
        if start % 2 == 0:
            total += start
        elif length > k:
            total += length
        else:
            total -= 1
    return total


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


@hard(k=[2, 3, 5])
def row_ends(grid: GRID, *, k):
    """goes through the rows of `grid`, a list of lists of numbers, and builds a list: for a row
    whose first number is greater than its last number, the first number times {k} is appended; for
    any other row whose last number is odd, that last number; for all others, 0; it returns the
    list"""
    result = []
    for row in grid:
        first = row[0]
        last = row[-1]
        if first > last:
            result.append(first * k)
        elif last % 2 == 1:
            result.append(last)
        else:
            result.append(0)
    return result


@hard(k=[2, 3, 4])
def name_steps(nums: LONG_INTS, *, k):
    """goes through the indices i from 1 to the end of the list `nums` and builds a list: if nums[i]
    is greater than nums[i - 1] by more than {k}, 'up' is appended, if it is less than nums[i - 1],
    'down' is appended, and otherwise the number nums[i] itself; it returns the list"""
    result = []
    for i in range(1, len(nums)):
        step = nums[i] - nums[i - 1]
        if step > k:
            result.append("up")
        elif step < 0:
            result.append("down")
        else:
            result.append(nums[i])
    return result
