"""Training families over strings and lists of words; `family.py` explains the form."""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from basics.family import FOUR_TEXT, SENTENCE, SOME_TEXT, TEXT, WORDS, easy, hard, medium


@easy(end=["s", "!", "?", "er", "ing", "x"])
def with_ending(text: TEXT, *, end):
    """returns the string `text` followed by {end!r}"""
    ending = end
    result = text + ending
    return result


@easy(k=[0, 1, 2])
def word_at(words: WORDS, *, k):
    """returns the string at index {k} of the list `words`, or the empty string if the list is too
    short"""
    result = ""
    for i, word in enumerate(words):
        if i == k:
            result = word
    return result


@easy(ch=["a", "e", "n", "o", "p", "t", "z"])
def count_letter(text: TEXT, *, ch):
    """returns how many times the letter {ch!r} occurs in the string `text`"""
    count = 0
    for letter in text:
        if letter == ch:
            count += 1
    return count


@easy(letters=["aeiou", "abc", "xyz", "lmn", "pqrst"])
def count_any(text: TEXT, *, letters):
    """returns how many characters of the string `text` are one of the letters in {letters!r}"""
    count = 0
    for letter in text:
        if letter in letters:
            count += 1
    return count


@easy(k=[1, 2, 3])
def nth_last(text: FOUR_TEXT, *, k):
    """returns the character number {k} from the end of the string `text`, where number 1 is the
    last one; the string has at least four
    characters"""
    index = len(text) - k
    letter = text[index]
    return letter


@easy(k=[2, 3, 4, 5])
def first_letters(text: TEXT, *, k):
    """returns the first {k} characters of the string `text`, or the whole string if it is
    shorter"""
    result = ""
    for letter in text[:k]:
        result += letter
    return result


@easy(ch=["a", "e", "n", "o", "p", "l"])
def remove_letter(text: TEXT, *, ch):
    """returns the string `text` without the letter {ch!r}"""
    result = ""
    for letter in text:
        if letter != ch:
            result += letter
    return result


@easy(old=["a", "e", "n", "o", "p", "l"], new=["o", "x", "m", "0", "b", "-"])
def replace_letter(text: TEXT, *, old, new):
    """returns the string `text` with every {old!r} replaced by {new!r}"""
    result = ""
    for letter in text:
        if letter == old:
            result += new
        else:
            result += letter
    return result


@easy(k=[2, 3])
def stretch(text: TEXT, *, k):
    """returns the string `text` with each character repeated {k} times"""
    result = ""
    for letter in text:
        result += letter * k
    return result


@easy(ch=["a", "e", "n", "o", "p"])
def find_letter(text: TEXT, *, ch):
    """returns the index of the first {ch!r} in the string `text`, or -1 if there is none"""
    index = -1
    for i in range(len(text)):
        if text[i] == ch:
            index = i
            break
    return index


@easy(ch=["a", "b", "f", "h", "s"])
def begins_with(text: TEXT, *, ch):
    """returns True if the string `text` begins with the letter {ch!r}, and False otherwise; the
    empty string gives False"""
    first = text[:1]
    answer = first == ch
    return answer


@easy(sep=["-", "/", "+", " ", "_"], k=[2, 3, 2, 3, 4])
def repeat_text(text: SOME_TEXT, *, sep, k):
    """returns a string that holds `text` {k} times, with {sep!r} between the copies"""
    result = text
    for step in range(k - 1):
        result += sep + text
    return result


@easy(end=["!", "?", ".", "-", "x"])
def reverse_and_add(text: TEXT, *, end):
    """returns the string `text` reversed, followed by {end!r}"""
    backwards = ""
    for letter in text:
        backwards = letter + backwards
    return backwards + end


@easy(hello=["Hello", "Hi", "Bye", "Thanks", "Dear"], end=["!", ".", "!", "...", ","])
def greet(name: SOME_TEXT, *, hello, end):
    """returns the string {hello!r}, then a space, then the string `name`, then {end!r}"""
    start = hello + " "
    result = start + name + end
    return result


@easy(ch=["a", "e", "n", "o", "p"])
def shout_letter(text: TEXT, *, ch):
    """returns the string `text` with every letter {ch!r} made upper case"""
    result = ""
    for letter in text:
        if letter == ch:
            letter = letter.upper()
        result += letter
    return result


@easy(ch=["a", "e", "n", "o"])
def letter_positions(text: TEXT, *, ch):
    """returns the list of the indices at which the letter {ch!r} stands in the string `text`"""
    result = []
    for i, letter in enumerate(text):
        if letter == ch:
            result.append(i)
    return result


@easy(k=[2, 3, 4, 5], edges=lambda k: [["a" * k], ["b" * (k + 1)]])
def is_longer(text: TEXT, *, k):
    """returns True if the string `text` has more than {k} characters, and False otherwise"""
    size = len(text)
    answer = size > k
    return answer


@easy(sep=["-", ", ", "+", "/", " and ", "_"])
def join_with(words: WORDS, *, sep):
    """returns the strings of the list `words` joined into one string, with {sep!r} between them;
    the empty list gives the empty string"""
    result = ""
    for i, word in enumerate(words):
        if i > 0:
            result += sep
        result += word
    return result


@easy(k=[2, 3, 4, 5], edges=lambda k: [[["a" * k, "b" * (k + 1)]]])
def longer_words(words: WORDS, *, k):
    """returns the list of the strings in the list `words` that have more than {k} letters"""
    result = []
    for word in words:
        if len(word) > k:
            result.append(word)
    return result


@easy(k=[1, 2, 3, 5])
def word_sizes(words: WORDS, *, k):
    """returns the list of the lengths of the strings in the list `words`, each plus {k}"""
    result = []
    for word in words:
        size = len(word)
        result.append(size + k)
    return result


@easy(end=["s", "ing", "!", "er", "-"])
def add_ending(words: WORDS, *, end):
    """returns a list with {end!r} added at the end of each string in the list `words`"""
    result = []
    for word in words:
        longer = word + end
        result.append(longer)
    return result


@easy(ch=["a", "b", "h", "s", "f"])
def words_with_start(words: WORDS, *, ch):
    """returns the list of the strings in the list `words` that begin with the letter {ch!r}"""
    result = []
    for word in words:
        if word[0] == ch:
            result.append(word)
    return result


@easy(bad=["cat", "sun", "egg", "fish", "hat"], mask=["***", "--", "x", "?", "dog"])
def censor(words: WORDS, *, bad, mask):
    """returns the list `words` with every string equal to {bad!r} replaced by {mask!r}"""
    result = []
    for word in words:
        if word == bad:
            word = mask
        result.append(word)
    return result


@medium(default=["none", "-", "empty", "?"])
def longest_word(words: WORDS, *, default):
    """returns the longest string in the list `words`; of several, the one that comes first; for an
    empty list it returns {default!r}"""
    best = default
    size = 0
    for word in words:
        if len(word) > size:
            best = word
            size = len(word)
    return best


@medium(k=[2, 3, 4, 5])
def count_long_words(line: SENTENCE, *, k):
    """returns how many words of the string `line` have at least {k} letters; words are separated
    by spaces"""
    count = 0
    for word in line.split():
        if len(word) >= k:
            count += 1
    return count


@medium(ch=["a", "e", "n", "o"])
def after_letter(text: TEXT, *, ch):
    """returns the part of the string `text` that comes after the first {ch!r}, or the empty string
    if there is no {ch!r}"""
    result = ""
    found = False
    for letter in text:
        if found:
            result += letter
        elif letter == ch:
            found = True
    return result


@hard(k=[2, 3, 5, 10], edges=lambda k: [["xyz"]])
def shift_letters(text: TEXT, *, k):
    """returns the string `text` of the letters a to z with each letter replaced by the letter {k}
    places later in the alphabet; after z comes a"""
    result = ""
    for letter in text:
        place = ord(letter) - ord("a")
        shifted = (place + k) % 26
        result += chr(ord("a") + shifted)
    return result


@hard(sep=["-", ":", "x", "="])
def run_lengths(text: TEXT, *, sep):
    """returns the string `text` with each stretch of equal characters replaced by the character,
    then {sep!r}, then the length of the stretch; the empty string gives the empty string"""
    result = ""
    i = 0
    while i < len(text):
        size = 1
        while i + size < len(text) and text[i + size] == text[i]:
            size += 1
        result += text[i] + sep + str(size)
        i += size
    return result


@hard(default=["", "-", "none"])
def commonest_letter(text: TEXT, *, default):
    """returns the character that occurs most often in the string `text`; of several, the one that
    comes first; for the empty string it returns {default!r}"""
    best = default
    most = 0
    for letter in text:
        count = text.count(letter)
        if count > most:
            best = letter
            most = count
    return best
