"""Held-out families over strings, words, dicts and lists of lists; see `heldout.py`."""

from basics.family import (
    FOUR_TEXT,
    PAIRS,
    ROWS,
    SENTENCE,
    SOME_TEXT,
    TABLE,
    TEXT,
    WORDS,
    easy,
    hard,
    medium,
)


@easy(k=[1, 2, 3, 5, 10])
def text_size(text: TEXT, *, k):
    """returns the number of characters in the string `text`, plus {k}"""
    size = len(text)
    result = size + k
    return result


@easy(end=["!", ".", "X", "?", "-"])
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


@easy(ch=["a", "e", "n", "o", "p", "l"])
def last_position(text: TEXT, *, ch):
    """returns the index of the last {ch!r} in the string `text`, or -1 if there is none"""
    position = -1
    for i in range(len(text)):
        if text[i] == ch:
            position = i
    return position


@easy(k=[2, 3, 4])
def cut_end(text: FOUR_TEXT, *, k):
    """returns the string `text`, which has at least four characters, without its last {k}
    characters"""
    size = len(text) - k
    result = ""
    for i in range(size):
        result += text[i]
    return result


@easy(sep=["-", "|", ".", "/", " ", "+"])
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


@easy(sep=[".", "-", "/", ", ", "!"])
def initials(words: WORDS, *, sep):
    """returns a string that holds, for each string in the list `words`, its first letter followed
    by {sep!r}"""
    result = ""
    for word in words:
        letter = word[0]
        result += letter + sep
    return result


@easy(k=[1, 2, 3, 5, 7, 10])
def total_letters(words: WORDS, *, k):
    """returns the total number of letters in all strings of the list `words`, plus {k}"""
    total = k
    for word in words:
        size = len(word)
        total += size
    return total


@medium(
    end=["s", "!", "ing", "."], k=[3, 4, 3, 5], edges=lambda end, k: [[["a" * k, "b" * (k + 1)]]]
)
def mark_short(words: WORDS, *, end, k):
    """returns the list `words` with {end!r} added to each string of at most {k} letters; longer
    strings stay as they are"""
    result = []
    for word in words:
        if len(word) <= k:
            word = word + end
        result.append(word)
    return result


@medium(sep=[".", ":", ")"])
def numbered(words: WORDS, *, sep):
    """returns a list with each string of the list `words` preceded by its number, counted from 1,
    and {sep!r}: the first string of the result starts with '1{sep}'"""
    result = []
    number = 1
    for word in words:
        result.append(str(number) + sep + word)
        number += 1
    return result


@medium(sep=["-", ",", "/"])
def words_backwards(line: SENTENCE, *, sep):
    """returns the words of the string `line`, which are separated by spaces, in reverse order with
    {sep!r} between them; the empty string gives the empty string"""
    parts = line.split()
    parts.reverse()
    result = sep.join(parts)
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


@medium(sep=["=", ":", " is "])
def entries(scores: TABLE, *, sep):
    """returns a list with a string for each key of the dict `scores`, in alphabetical order: the
    key, then {sep!r}, then the value"""
    result = []
    for key in sorted(scores):
        value = scores[key]
        result.append(key + sep + str(value))
    return result


@hard(k=[1, 2, 10])
def best_by_name(pairs: PAIRS, *, k):
    """returns a dict with the names in the list `pairs`, each element of which is a list of a name
    and a number, as keys, and as values the largest number of that name, plus {k}"""
    best = {}
    for name, number in pairs:
        score = number + k
        if name not in best or score > best[name]:
            best[name] = score
    return best


@hard(k=[2, 3, 10])
def largest_cell(rows: ROWS, *, k):
    """returns {k} times the largest number of all numbers in the lists of the list `rows`, or -1
    if there is no number at all"""
    best = None
    for row in rows:
        for x in row:
            if best is None or x > best:
                best = x
    return -1 if best is None else best * k
