"""Training families over dicts and lists of lists; `family.py` explains the form."""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from problems.basics.family import FULL_ROWS, NAME, ROWS, TABLE, WORDS, easy, hard, medium


@easy(k=[1, 2])
def sum_values(scores: TABLE, *, k):
    """returns {k} plus the sum of the values of the dict `scores`"""
    total = k
    for value in scores.values():
        total += value
    return total


@easy(default=[0, -1, 10, 100, 5])
def look_up(scores: TABLE, name: NAME, *, default):
    """returns the value of the key `name` in the dict `scores`, or {default} if there is no such
    key"""
    result = default
    for key, value in scores.items():
        if key == name:
            result = value
    return result


@easy(k=[1, 2])
def raise_values(scores: TABLE, *, k):
    """returns a dict with the keys of the dict `scores` and each value increased by {k}"""
    result = {}
    for key, value in scores.items():
        result[key] = value + k
    return result


@easy(i=[0, 1], k=[1, 1])
def column(rows: FULL_ROWS, *, i, k):
    """returns the list of the numbers at index {i} of each list in the list `rows`, each plus {k};
    each inner list has at least two numbers"""
    result = []
    for row in rows:
        value = row[i] + k
        result.append(value)
    return result


@easy(k=[1, 2, 5, 10])
def rows_plus(rows: ROWS, *, k):
    """returns the number of lists in the list `rows`, plus {k}"""
    size = len(rows)
    result = size + k
    return result


@easy(k=[1, 2, 3, 4, 5, 10])
def row_sizes(rows: ROWS, *, k):
    """returns the list of the lengths of the lists in `rows`, each plus {k}"""
    result = []
    for row in rows:
        result.append(len(row) + k)
    return result


@easy(k=[1, 2, 5, 10])
def entries_plus(scores: TABLE, *, k):
    """returns the number of keys in the dictionary `scores`, plus {k}"""
    size = len(scores)
    result = size + k
    return result


@easy(k=[2, 3, 5])
def row_largest(rows: FULL_ROWS, *, k):
    """returns a list of the largest number of each list in `rows`, multiplied by {k}"""
    result = []
    for row in rows:
        result.append(max(row) * k)
    return result


@easy(k=[2, 3, 5, 10])
def total_values(scores: TABLE, *, k):
    """returns the sum of the values of the dictionary `scores`, multiplied by {k}"""
    total = sum(scores.values())
    result = total * k
    return result


@easy(k=[2, 3, 5])
def double_values(scores: TABLE, *, k):
    """returns a dictionary with the keys of `scores` and each value multiplied by {k}"""
    result = {}
    for name, value in scores.items():
        result[name] = value * k
    return result


@medium(k=[1, 2, 5, 10])
def row_sums(rows: ROWS, *, k):
    """returns the list of the sums of the lists in the list `rows`, each plus {k}; an empty inner
    list has the sum 0"""
    result = []
    for row in rows:
        total = sum(row)
        result.append(total + k)
    return result


@medium(k=[0, 2])
def flatten_above(rows: ROWS, *, k):
    """returns the list of all numbers greater than {k} in the lists of the list `rows`, in their
    order"""
    result = []
    for row in rows:
        for x in row:
            if x > k:
                result.append(x)
    return result


@medium(k=[2, 3])
def word_counts(words: WORDS, *, k):
    """returns a dict with each string of the list `words` as a key and, as its value, {k} for
    each time it occurs"""
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + k
    return counts


@hard(k=[2, 3])
def by_first_letter(words: WORDS, *, k):
    """returns a dict that maps each letter to the list of the strings in the list `words` that
    begin with it and have at least {k} letters; letters without such a string are no keys"""
    groups = {}
    for word in words:
        if len(word) >= k:
            letter = word[0]
            groups.setdefault(letter, []).append(word)
    return groups
