"""Training families of the harder tier over strings; `family.py` explains the form."""

from problems.basics.family import LONG_WORDS, TEXT, hard, text_of

STUTTER = text_of("aabbc", 5, 9, "", "a")
MIXED = text_of("aab123456789", 6, 10, "", "a7")
MOVES = text_of("FFBLR", 4, 8, "")


@hard(k=[1, 2, 3])
def shift_vowels(text: TEXT, *, k):
    """returns the string `text` with each vowel (a, e, i, o, u) replaced by the letter that comes
    {k} places after it in the alphabet, and each other letter unchanged"""
    result = ""
    for ch in text:
        if ch in "aeiou":
            code = ord(ch) + k
            result += chr(code)
        else:
            result += ch
    return result


@hard(k=[3, 4])
def word_points(words: LONG_WORDS, *, k):
    """goes through the list `words` with points that are 0 at first: a word with more than {k}
    letters adds 2 to the points, any other word that begins with a vowel (a, e, i, o, u) adds 3,
    and other words subtract 1; it returns the points"""
    points = 0
    for word in words:
        first = word[0]
        if len(word) > k:
            points += 2
        elif first in "aeiou":
            points += 3
        else:
            points -= 1
    return points


@hard(k=[1, 2, 3])
def walk_position(moves: MOVES, *, k):
    """goes through the string `moves` with two numbers x and y that are 0 at first: 'R' adds {k} to
    x, 'L' subtracts {k} from x, 'F' adds 1 to y, and 'B' swaps x and y; it returns the list [x,
    y]"""
    x, y = 0, 0
    for move in moves:
        if move == "R":
            x += k
        elif move == "L":
            x -= k
        elif move == "F":
            y += 1
        else:
            x, y = y, x
    return [x, y]


@hard(ch=["a", "b", "c"])
def longest_part(text: STUTTER, *, ch):
    """goes through the string `text` with a counter that is 0 at first: the letter {ch!r} sets the
    counter back to 0, and any other letter adds 1 to it; it returns the list of the values that the
    counter has after each letter"""
    result = []
    counter = 0
    for letter in text:
        if letter == ch:
            counter = 0
        else:
            counter += 1
        result.append(counter)
    return result


@hard(k=[1, 2])
def often_letters(text: STUTTER, *, k):
    """returns the string of the letters that occur more than {k} times in the string `text`, each
    of them only once, in the order of their first occurrence"""
    result = ""
    for ch in text:
        count = text.count(ch)
        if count > k and ch not in result:
            result += ch
    return result


@hard(edges=lambda k: [[["go", "hat", "moon", "apple"]]], k=[3, 4])
def ends_upper(words: LONG_WORDS, *, k):
    """goes through the list `words` and builds a new list: a word with fewer than {k} letters is
    left out, a word with exactly {k} letters is appended in upper case, and any longer word is
    appended reversed; it returns the new list"""
    result = []
    for word in words:
        size = len(word)
        if size == k:
            result.append(word.upper())
        elif size > k:
            result.append(word[::-1])
    return result


@hard(k=[3, 4])
def vowel_or_long(words: LONG_WORDS, *, k):
    """returns the list of the words of the list `words` that begin with a vowel (a, e, i, o, u) or
    have more than {k} letters, in the reverse of their order"""
    result = []
    for word in words:
        first = word[0]
        if first in "aeiou" or len(word) > k:
            result.insert(0, word)
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
