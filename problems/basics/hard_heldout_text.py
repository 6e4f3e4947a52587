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
    text_of,
)

MIXED = text_of("aab123456789", 6, 10, "", "a7")
STUTTER = text_of("aabbc", 5, 9, "", "a")


@hard(k=[3, 4, 5], sign=["*", "#", "*"])
def mask_words(words: LONG_WORDS, *, k, sign):
    """returns the list of the words of the list `words`, where each word with at least {k} letters
    is replaced by its first letter, then {sign!r}, and then its last letter"""
    result = []
    for word in words:
        size = len(word)
        if size >= k:
            word = word[0] + sign + word[-1]
        result.append(word)
    return result


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


@hard(k=[1, 2, 3])
def mixed_score(text: MIXED, *, k):
    """goes through the string `text` with a score that is 0 at first: a digit is added to the
    score, a letter 'a' subtracts {k} from it, and any other letter doubles it; it returns the
    score"""
    score = 0
    for ch in text:
        if ch.isdigit():
            digit = int(ch)
            score += digit
        elif ch == "a":
            score -= k
        else:
            score *= 2
    return score


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


@hard(k=[0, 1, 3])
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


@hard(sign=["-", "*", "+"])
def mark_repeats(text: STUTTER, *, sign):
    """goes through the indices i of the string `text` and builds a new string: if i is greater than
    0 and the letter at i is equal to the letter at i - 1, {sign!r} is added, and otherwise the
    letter at i is added; it returns the new string"""
    result = ""
    for i in range(len(text)):
        ch = text[i]
        if i > 0 and ch == text[i - 1]:
            result += sign
        else:
            result += ch
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
