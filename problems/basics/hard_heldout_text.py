"""Held-out families of the harder tier over strings, dicts and lists of lists; `family.py` explains
the form."""

from problems.basics.family import (
    GRID,
    LONG_WORDS,
    SENTENCE,
    SHORT_TABLE,
    TABLE,
    TEXT,
    hard,
    many,
)

VOTES = many(lambda rng, constants: rng.choice(["ann", "bob", "cid", "dan"]), 5, 8, [])


@hard(k=[2, 3])
def every_nth_upper(line: SENTENCE, *, k):
    """goes through the indices i of the string `line` and builds a new string: if i is divisible by
    {k}, the character at i is added in upper case, and otherwise it is added twice; it returns the
    new string"""
    result = ""
    for i in range(len(line)):
        ch = line[i]
        if i % k == 0:
            result += ch.upper()
        else:
            result += ch * 2
    return result


@hard(k=[2, 3, 5])
def vowel_pairs(text: TEXT, *, k):
    """goes through the indices i from 1 to the end of the string `text` with a score that is 0 at
    first: if the letters at i - 1 and i are both vowels (a, e, i, o, u), {k} is added to the score,
    and otherwise 1 is subtracted from it; it returns the score"""
    score = 0
    for i in range(1, len(text)):
        first = text[i - 1] in "aeiou"
        second = text[i] in "aeiou"
        if first and second:
            score += k
        else:
            score -= 1
    return score


@hard(k=[3, 4])
def first_or_last(words: LONG_WORDS, *, k):
    """goes through the list `words` and builds a string that is empty at first: of a word with more
    than {k} letters, only the first letter is added, a word with exactly {k} letters is added
    reversed, and of any other word, the last letter is added in upper case; it returns the
    string"""
    result = ""
    for word in words:
        size = len(word)
        if size > k:
            result += word[0]
        elif size == k:
            result += word[::-1]
        else:
            result += word[-1].upper()
    return result


@hard(edges=lambda k: [[[[k, 2], [-3, 2]]]], k=[0, 1, 3])
def row_values(grid: GRID, *, k):
    """returns a list with one number for each row of `grid`, a list of lists of numbers: the
    largest number of the row if its sum is greater than {k}, and its smallest number otherwise"""
    result = []
    for row in grid:
        total = sum(row)
        if total > k:
            result.append(max(row))
        else:
            result.append(min(row))
    return result


@hard(k=[0, 1, 2])
def names_better(first: SHORT_TABLE, second: SHORT_TABLE, *, k):
    """returns the list of the names of the dict `first` that are not in the dict `second`, or whose
    value in `first` is greater than their value in `second` by more than {k}, in the order of
    `first`"""
    result = []
    for name, value in first.items():
        if name not in second:
            result.append(name)
        else:
            other = second[name]
            if value - other > k:
                result.append(name)
    return result


@hard(k=[5, 10, 20])
def smallest_or(grid: GRID, *, k):
    """returns a list with one number for each row of `grid`, a list of lists of numbers: {k} if the
    row holds a negative number, and otherwise its smallest number"""
    result = []
    for row in grid:
        least = min(row)
        if least < 0:
            least = k
        result.append(least)
    return result


@hard(k=[5, 8, 10])
def even_or_high(scores: TABLE, *, k):
    """returns the list of the names in the dict `scores` whose value is even or greater than {k},
    in alphabetical order"""
    result = []
    for name in sorted(scores):
        value = scores[name]
        if value % 2 == 0 or value > k:
            result.append(name)
    return result


@hard(sep=["-", "/", "+"])
def odd_places(text: TEXT, *, sep):
    """returns one string: the characters of the string `text` at even indices, then {sep!r}, and
    then the characters of `text` at odd indices; indices count from 0"""
    first = ""
    second = ""
    for i in range(len(text)):
        if i % 2 == 0:
            first += text[i]
        else:
            second += text[i]
    return first + sep + second


@hard(k=[2, 3])
def elected(votes: VOTES, *, k):
    """counts how often each string occurs in the list `votes`, and returns the list of the strings
    that occur at least {k} times, each once, in alphabetical order"""
    counts = {}
    for vote in votes:
        counts[vote] = counts.get(vote, 0) + 1
    result = []
    for vote in sorted(counts):
        if counts[vote] >= k:
            result.append(vote)
    return result


@hard(k=[0, 10, 20])
def even_largest(grid: GRID, *, k):
    """returns a list with one number for each row of `grid`, a list of lists of numbers: the
    largest number of the row if it is even, and {k} otherwise"""
    result = []
    for row in grid:
        largest = max(row)
        if largest % 2 == 1:
            largest = k
        result.append(largest)
    return result
