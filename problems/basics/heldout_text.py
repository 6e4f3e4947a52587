"""Held-out families over strings, words, dicts and lists of lists; see `heldout.py`."""

from problems.basics.family import (
    INTS,
    PAIRS,
    SENTENCE,
    SOME_TEXT,
    TABLE,
    TEXT,
    WORDS,
    easy,
    hard,
    medium,
)


@easy(end=["!", "."])
def upper_case(text: SOME_TEXT, *, end):
    """returns the string `text` in upper case, followed by {end!r}"""
    loud = text.upper()
    result = loud + end
    return result


@easy(ch=["a", "e", "n", "o", "p", "s"])
def has_letter(text: TEXT, *, ch):
    """returns True if the letter {ch!r} is in the string `text`, and False otherwise"""
    letter = ch
    found = letter in text
    return found


@easy(k=[1, 2, 3, 5, 10])
def count_words(line: SENTENCE, *, k):
    """returns the number of words in the string `line`, which are separated by spaces, plus {k}"""
    parts = line.split()
    count = len(parts)
    return count + k


@easy(ch=["a", "e"])
def last_position(text: TEXT, *, ch):
    """returns the index of the last {ch!r} in the string `text`, or -1 if there is none"""
    position = -1
    for i in range(len(text)):
        if text[i] == ch:
            position = i
    return position


@easy(sep=["-", "|"])
def mirror(text: TEXT, *, sep):
    """returns the string `text`, then {sep!r}, then the string `text` reversed"""
    backwards = text[::-1]
    result = text + sep + backwards
    return result


@easy(tag=["b", "i", "p", "h1", "li", "em"])
def wrap_in_tag(text: SOME_TEXT, *, tag):
    """returns the string `text` with '<{tag}>' before it and '</{tag}>' after it"""
    opening = "<" + tag + ">"
    closing = "</" + tag + ">"
    return opening + text + closing


@easy(ch=["a", "e", "n", "o", "t", "i"])
def count_words_with(words: WORDS, *, ch):
    """returns how many strings in the list `words` contain the letter {ch!r}"""
    count = 0
    for word in words:
        if ch in word:
            count += 1
    return count


@easy(k=[1, 2, 3, 5, 7, 10])
def total_letters(words: WORDS, *, k):
    """returns the total number of letters in all strings of the list `words`, plus {k}"""
    total = k
    for word in words:
        size = len(word)
        total += size
    return total


@easy(k=[0, 5, 8])
def keys_above(scores: TABLE, *, k):
    """returns the list of the keys of the dictionary `scores` whose value is greater than {k}"""
    result = []
    for name in scores:
        if scores[name] > k:
            result.append(name)
    return result


@easy(ch=["a", "e", "o", "n", "t"])
def text_ends_with(text: SOME_TEXT, *, ch):
    """returns True if the string `text` ends with {ch!r}, and False otherwise"""
    last = text[-1]
    answer = last == ch
    return answer


@easy(sep=["-", ",", "+", "/"])
def join_two(a: TEXT, b: TEXT, *, sep):
    """returns the string `a`, then {sep!r}, then the string `b`"""
    start = a + sep
    result = start + b
    return result


@easy(unit=["!", "s", "-", " kg"])
def numbers_as_text(nums: INTS, *, unit):
    """returns a list of strings: each number of the list `nums` followed by {unit!r}"""
    result = []
    for x in nums:
        result.append(str(x) + unit)
    return result


@medium(default=["none", "-", "nobody"], edges=lambda default: [[{"eve": 5, "bob": 5}]])
def winner(scores: TABLE, *, default):
    """returns the key with the largest value in the dict `scores`; of several, the one that is
    first in alphabetical order; for an empty dict it returns {default!r}"""
    best = default
    for key in sorted(scores):
        if best == default or scores[key] > scores[best]:
            best = key
    return best


@hard(k=[1, 2])
def best_by_name(pairs: PAIRS, *, k):
    """returns a dict with the names in the list `pairs`, each element of which is a list of a name
    and a number, as keys, and as values the largest number of that name, plus {k}"""
    best = {}
    for name, number in pairs:
        score = number + k
        if name not in best or score > best[name]:
            best[name] = score
    return best
