"""Training families of the harder tier that follow a rule of several cases, step by step;
`family.py` explains the form."""

from problems.basics.family import (
    GRID,
    LONG_INTS,
    LONG_POSITIVES,
    NATURAL,
    TABLE,
    hard,
    text_of,
)

BRACKETS = text_of("((xx)", 5, 9, "")


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


@hard(edges=lambda k: [[[-k - 2, 4, -1, 3, 5]]], k=[0, 5, 10])
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


@hard(k=[4, 6, 8])
def table_distances(scores: TABLE, *, k):
    """returns a dict with the names of the dict `scores`: a name whose value is greater than {k}
    gets its value minus {k}, and any other name gets {k} minus its value"""
    result = {}
    for name, value in scores.items():
        high = value > k
        if high:
            result[name] = value - k
        else:
            result[name] = k - value
    return result
