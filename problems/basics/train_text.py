"""Training families over strings and lists of words; `family.py` explains the form."""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from problems.basics.family import FOUR_TEXT, SENTENCE, SOME_TEXT, TEXT, WORDS, easy, hard, medium


@easy(end=["s", "!", "?", "er", "ing", "x"])
def with_ending(text: TEXT, *, end):
    """returns the string `text` followed by {end!r}"""
    ending = end
    result = text + ending
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


@easy(old=["a", "e"], new=["o", "x"])
def replace_letter(text: TEXT, *, old, new):
    """returns the string `text` with every {old!r} replaced by {new!r}"""
    result = ""
    for letter in text:
        if letter == old:
            result += new
        else:
            result += letter
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


@easy(ch=["a", "b"])
def begins_with(text: TEXT, *, ch):
    """returns True if the string `text` begins with the letter {ch!r}, and False otherwise; the
    empty string gives False"""
    first = text[:1]
    answer = first == ch
    return answer


@easy(sep=["-", "/"], k=[2, 3])
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


@easy(k=[2, 3, 4, 5], edges=lambda k: [["a" * k], ["b" * (k + 1)]])
def is_longer(text: TEXT, *, k):
    """returns True if the string `text` has more than {k} characters, and False otherwise"""
    size = len(text)
    answer = size > k
    return answer


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


@easy(k=[2, 3, 4, 5, 6, 10])
def text_size_times(text: TEXT, *, k):
    """returns the length of the string `text`, multiplied by {k}"""
    size = len(text)
    result = size * k
    return result


@easy(k=[3, 4, 5])
def short_words(words: WORDS, *, k):
    """returns the list of the words in the list `words` that have less than {k} letters"""
    result = []
    for word in words:
        if len(word) < k:
            result.append(word)
    return result


@easy(k=[2, 3, 4, 5])
def text_times(text: TEXT, *, k):
    """returns the string `text` repeated {k} times"""
    times = k
    result = text * times
    return result


@easy(sep=["-", ",", " ", "+"])
def join_words(words: WORDS, *, sep):
    """returns the words of the list `words` joined by {sep!r}"""
    separator = sep
    result = separator.join(words)
    return result


@easy(start=["a ", "the ", "my ", "re", "un", ">"])
def with_start(text: TEXT, *, start):
    """returns {start!r} followed by the string `text`"""
    front = start
    result = front + text
    return result


@easy(k=[3, 4, 5])
def count_short_words(words: WORDS, *, k):
    """returns how many words in the list `words` have less than {k} letters"""
    count = 0
    for word in words:
        if len(word) < k:
            count += 1
    return count


@easy(old=["a", "e", "o", "n"], new=["u", "3", "0", "m"])
def change_letter(text: TEXT, *, old, new):
    """returns the string `text` with {old!r} replaced by {new!r}"""
    before = old
    result = text.replace(before, new)
    return result


@easy(k=[1, 2, 3])
def without_start(text: FOUR_TEXT, *, k):
    """returns the string `text` without its first {k} characters"""
    size = k
    part = text[size:]
    return part


@easy(k=[3, 4, 5])
def long_or_short(text: TEXT, *, k):
    """returns 'long' if the string `text` has more than {k} characters, and 'short' otherwise"""
    answer = "short"
    size = len(text)
    if size > k:
        answer = "long"
    return answer


@easy(ch=["a", "e", "o", "n"])
def words_containing(words: WORDS, *, ch):
    """returns the list of the words in the list `words` that contain the letter {ch!r}"""
    result = []
    for word in words:
        if ch in word:
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


@hard(edges=lambda sep: [["aabccc"]], sep=["-", ":"])
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


@easy(k=[2, 3])
def repeat_words(words: WORDS, *, k):
    """returns a list of the words in the list `words`, each word repeated {k} times"""
    result = []
    for word in words:
        result.append(word * k)
    return result
