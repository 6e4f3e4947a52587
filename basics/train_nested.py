"""Training families over dicts and lists of lists; `family.py` explains the form."""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from basics.family import FULL_ROWS, NAME, PAIRS, ROWS, SIDE, TABLE, WORDS, easy, hard, medium


@easy(k=[1, 2, 5, 8, 10])
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


@easy(k=[1, 2, 3, 5, 10])
def raise_values(scores: TABLE, *, k):
    """returns a dict with the keys of the dict `scores` and each value increased by {k}"""
    result = {}
    for key, value in scores.items():
        result[key] = value + k
    return result


@easy(name=["zoe", "max", "kim", "joe"], k=[1, 5, 0, 10])
def add_entry(scores: TABLE, *, name, k):
    """returns a dict with the entries of the dict `scores` and also the key {name!r} with the
    value {k}"""
    result = {}
    for key, value in scores.items():
        result[key] = value
    result[name] = k
    return result


@easy(k=[0, 2, 3, 5, 8])
def count_values(scores: TABLE, *, k):
    """returns how many values of the dict `scores` are at least {k}"""
    count = 0
    for value in scores.values():
        if value >= k:
            count += 1
    return count


@easy(k=[1, 2, 5, 10])
def pairs_total(pairs: PAIRS, *, k):
    """returns {k} plus the sum of the numbers in the list `pairs`, each element of which is a list
    of a name and a number"""
    total = k
    for name, number in pairs:
        total += number
    return total


@easy(k=[0, 1, 7, 9])
def filled_grid(n: SIDE, m: SIDE, *, k):
    """returns a list of `n` lists, each of which holds the number {k} `m` times"""
    result = []
    for i in range(n):
        row = [k] * m
        result.append(row)
    return result


@easy(k=[0, 1, 5, 9])
def extend_rows(rows: ROWS, *, k):
    """returns a list of the lists in the list `rows`, each with the number {k} added at its end"""
    result = []
    for row in rows:
        longer = row + [k]
        result.append(longer)
    return result


@easy(i=[0, 1, 0, 1], k=[1, 1, 2, 10])
def column(rows: FULL_ROWS, *, i, k):
    """returns the list of the numbers at index {i} of each list in the list `rows`, each plus {k};
    each inner list has at least two numbers"""
    result = []
    for row in rows:
        value = row[i] + k
        result.append(value)
    return result


@medium(k=[0, 2, 4, 6, 8], edges=lambda k: [[{"dan": k, "bob": k + 1}]])
def names_above(scores: TABLE, *, k):
    """returns the sorted list of the keys of the dict `scores` whose value is greater than {k}"""
    result = []
    for key in sorted(scores):
        if scores[key] > k:
            result.append(key)
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


@medium(k=[2, 3, 5, 10])
def total_of_rows(rows: ROWS, *, k):
    """returns {k} times the sum of all numbers in all lists of the list `rows`"""
    total = 0
    for row in rows:
        for x in row:
            total += x
    return total * k


@medium(k=[0, 2, 3, 5])
def flatten_above(rows: ROWS, *, k):
    """returns the list of all numbers greater than {k} in the lists of the list `rows`, in their
    order"""
    result = []
    for row in rows:
        for x in row:
            if x > k:
                result.append(x)
    return result


@medium(k=[0, 5, 8, 10], edges=lambda k: [[[[k], [k, 1]]]])
def heavy_rows(rows: ROWS, *, k):
    """returns the list of those lists in the list `rows` whose sum is greater than {k}; an empty
    inner list has the sum 0"""
    result = []
    for row in rows:
        total = sum(row)
        if total > k:
            result.append(row)
    return result


@medium(k=[2, 3, 10])
def word_counts(words: WORDS, *, k):
    """returns a dict with each string of the list `words` as a key and, as its value, {k} for
    each time it occurs"""
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + k
    return counts


@hard(k=[2, 3, 4, 5])
def by_first_letter(words: WORDS, *, k):
    """returns a dict that maps each letter to the list of the strings in the list `words` that
    begin with it and have at least {k} letters; letters without such a string are no keys"""
    groups = {}
    for word in words:
        if len(word) >= k:
            letter = word[0]
            groups.setdefault(letter, []).append(word)
    return groups


@hard(k=[1, 2, 5])
def totals_by_name(pairs: PAIRS, *, k):
    """returns a dict with the names in the list `pairs`, each element of which is a list of a name
    and a number, as keys, and as values {k} plus the sum of the numbers of that name"""
    totals = {}
    for name, number in pairs:
        if name not in totals:
            totals[name] = k
        totals[name] += number
    return totals
