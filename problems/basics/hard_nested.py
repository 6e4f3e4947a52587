"""Training families of the harder tier over dicts and lists of lists; `family.py` explains the
form."""

from problems.basics.family import (
    GRID,
    LONG_WORDS,
    SHORT_TABLE,
    TABLE,
    hard,
)


@hard(k=[3, 5, 8])
def rows_over(grid: GRID, *, k):
    """returns the list of the indices of the rows of `grid`, a list of lists of numbers, whose sum
    is greater than {k} and whose first number is less than their last number"""
    result = []
    for i in range(len(grid)):
        row = grid[i]
        total = sum(row)
        if total > k and row[0] < row[-1]:
            result.append(i)
    return result


@hard(k=[0, 3, 5])
def names_over(scores: TABLE, *, k):
    """returns the list of the names in the dict `scores` whose value is greater than {k}, in
    reverse alphabetical order"""
    result = []
    for name, value in scores.items():
        high = value > k
        if high:
            result.append(name)
    result.sort(reverse=True)
    return result


@hard(k=[2, 3])
def turn_every_second(grid: GRID, *, k):
    """goes through the indices i of `grid`, a list of lists of numbers, and builds a list: if i is
    even, the list grid[i] is appended reversed, and if i is odd, the sum of the numbers of grid[i],
    multiplied by {k}, is appended; it returns the list"""
    result = []
    for i in range(len(grid)):
        row = grid[i]
        if i % 2 == 0:
            result.append(row[::-1])
        else:
            total = sum(row)
            result.append(total * k)
    return result


@hard(k=[1, 2, 5])
def merge_scores(first: SHORT_TABLE, second: SHORT_TABLE, *, k):
    """starts with a copy of the dict `first` and goes through the dict `second`: a key that is
    already there gets the larger of both values, and a new key gets its value of `second` plus {k};
    it returns the new dict"""
    result = first.copy()
    for name, value in second.items():
        if name in result:
            result[name] = max(result[name], value)
        else:
            result[name] = value + k
    return result


@hard(k=[2, 3, 4])
def longest_by_letter(words: LONG_WORDS, *, k):
    """returns a dict that maps the first letter of each string of the list `words` to the largest
    length of a string with this first letter, where lengths less than {k} count as {k}"""
    result = {}
    for word in words:
        letter = word[0]
        size = max(len(word), k)
        if letter not in result or size > result[letter]:
            result[letter] = size
    return result
