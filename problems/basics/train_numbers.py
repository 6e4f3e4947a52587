"""Training families over numbers; `family.py` explains the form."""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from problems.basics.family import COUNT, NATURAL, NUM, SMALL, easy, medium


@easy(k=[1, 2, 3, 5, 7, 10])
def add_number(x: NUM, *, k):
    """returns the number `x` plus {k}"""
    step = k
    result = x + step
    return result


@easy(k=[1, 2, 3, 4, 5, 10])
def sum_of_three(a: NUM, b: NUM, c: NUM, *, k):
    """returns the sum of the three numbers `a`, `b` and `c`, plus {k}"""
    total = a + b + c
    result = total + k
    return result


@easy(k=[2, 3, 4, 5, 6, 7, 8, 9], c=[1, 4, 7, 2, 5, 3, 6, 10])
def scale_and_add(x: NUM, *, k, c):
    """returns the number `x` multiplied by {k}, plus {c}"""
    product = x * k
    result = product + c
    return result


@easy(k=[1, 2, 3, 5, 6, 8, 10])
def square_minus(x: SMALL, *, k):
    """returns the square of the number `x`, minus {k}"""
    square = x * x
    result = square - k
    return result


@easy(k=[2, 3, 4, 5, 6, 7, 10])
def is_multiple(x: NUM, *, k):
    """returns True if the number `x` is divisible by {k}, and False otherwise"""
    remainder = x % k
    answer = remainder == 0
    return answer


@easy(k=[3, 5, 6, 8, 10, 12, 15])
def distance_to(x: NUM, *, k):
    """returns the distance between the number `x` and {k}, which is never negative"""
    difference = x - k
    distance = abs(difference)
    return distance


@easy(k=[2, 3, 4, 5, 6, 7, 8, 10])
def sum_to(n: COUNT, *, k):
    """returns {k} times the sum of the numbers from 1 to `n`; for `n` = 0 it returns 0"""
    total = 0
    for i in range(1, n + 1):
        total += i
    return total * k


@easy(k=[2, 3, 4, 5, 6, 7, 8], edges=lambda k: [[2 * k], [2 * k - 1]])
def count_multiples(n: NATURAL, *, k):
    """returns how many of the numbers from 1 to `n` are divisible by {k}"""
    count = 0
    for i in range(1, n + 1):
        if i % k == 0:
            count += 1
    return count


@easy(k=[2, 3, 4, 5, 6, 10])
def first_multiples(n: COUNT, *, k):
    """returns the list of the first `n` multiples of {k}: {k}, 2 * {k}, 3 * {k} and so on; the
    list is empty for `n` = 0"""
    result = []
    for i in range(1, n + 1):
        result.append(i * k)
    return result


@easy(k=[1, 2])
def larger_plus(a: NUM, b: NUM, *, k):
    """returns the larger of the two numbers `a` and `b`, plus {k}"""
    larger = a
    if b > a:
        larger = b
    result = larger + k
    return result


@easy(k=[2, 3, 4, 5, 6, 8, 10])
def sum_times(a: NUM, b: NUM, *, k):
    """returns the sum of the numbers `a` and `b`, multiplied by {k}"""
    total = a + b
    result = total * k
    return result


@easy(k=[2, 3, 5, 7, 10, 12, 20])
def savings(start: NUM, months: COUNT, *, k):
    """returns how much money there is after `months` months, when there is `start` at first and
    {k} is added each month"""
    money = start
    for month in range(months):
        money += k
    return money


@easy(
    low=["low", "minus", "cold", "no"],
    high=["high", "plus", "warm", "yes"],
    k=[5, 0, 10, 3],
    edges=lambda k, **_: [[k], [k - 1]],
)
def label(x: NUM, *, low, high, k):
    """returns the string {low!r} if the number `x` is less than {k}, and {high!r} otherwise"""
    answer = high
    limit = k
    if x < limit:
        answer = low
    return answer


@easy(k=[2, 3])
def countdown(n: NUM, *, k):
    """returns the list that starts with `n` and goes down in steps of {k} while the numbers are
    greater than 0; the list is empty if `n` is not greater than 0"""
    result = []
    current = n
    while current > 0:
        result.append(current)
        current -= k
    return result


@easy(k=[2, 3, 4, 5, 6, 7, 8, 10])
def multiply_number(x: NUM, *, k):
    """returns the number `x` multiplied by {k}"""
    factor = k
    result = x * factor
    return result


@easy(k=[5, 6, 8, 10, 12, 20])
def product_is_over(a: NUM, b: NUM, *, k):
    """returns True if `a` times `b` is greater than {k}, and False otherwise"""
    product = a * b
    answer = product > k
    return answer


@easy(k=[7, 12, 24, 60, 100])
def units_in(whole_units: COUNT, rest: COUNT, *, k):
    """returns `whole_units` times {k}, plus `rest`"""
    product = whole_units * k
    total = product + rest
    return total


@easy(k=[5, 6, 8, 10, 12, 15])
def sum_is_over(a: NUM, b: NUM, *, k):
    """returns True if the sum of `a` and `b` is greater than {k}, and False otherwise"""
    total = a + b
    answer = total > k
    return answer


@easy(k=[2, 3, 4, 5, 10])
def average_times(a: NUM, b: NUM, *, k):
    """returns (`a` + `b`) // {k}"""
    total = a + b
    result = total // k
    return result


@easy(unit=["cm", "kg", "m", "km", "%"])
def with_unit(n: NATURAL, *, unit):
    """returns the string of the number `n` followed by {unit!r}"""
    number = str(n)
    result = number + unit
    return result


@easy(k=[1, 2, 3, 4, 10])
def digits_plus(n: NATURAL, *, k):
    """returns the number of digits of the number `n`, plus {k}"""
    digits = str(n)
    result = len(digits) + k
    return result


@easy(k=[2, 3, 5, 7, 10, 20])
def ticket_price(n: COUNT, *, k):
    """returns the price of `n` tickets when one ticket costs {k}"""
    price = k
    total = n * price
    return total


@easy(k=[3, 4, 5, 7])
def sum_divides(a: NATURAL, b: NATURAL, *, k):
    """returns True if the sum of `a` and `b` is divisible by {k}, and False otherwise"""
    total = a + b
    rest = total % k
    return rest == 0


@easy(k=[5, 8, 10, 15])
def big_or_small(x: NUM, *, k):
    """returns 'big' if the number `x` is greater than {k}, and 'small' otherwise"""
    answer = "small"
    limit = k
    if x > limit:
        answer = "big"
    return answer


@easy(k=[1, 2, 3, 5, 10])
def perimeter_plus(width: COUNT, height: COUNT, *, k):
    """returns the perimeter of a rectangle of the sides `width` and `height`, plus {k}"""
    perimeter = 2 * (width + height)
    result = perimeter + k
    return result


@medium(low=[0, 1], high=[10, 6])
def clamp(x: NUM, *, low, high):
    """returns the number `x`, but {low} if `x` is less than {low}, and {high} if `x` is greater
    than {high}"""
    raised = max(x, low)
    result = min(raised, high)
    return result


@medium(k=[2, 3, 4, 5, 6, 10])
def digit_sum(n: NATURAL, *, k):
    """returns {k} times the sum of the decimal digits of the number `n`"""
    total = 0
    for digit in str(n):
        total += int(digit)
    return total * k


@medium(word=["fizz", "buzz"], k=[3, 2])
def fizz(n: COUNT, *, word, k):
    """returns the list of the numbers from 1 to `n`, in which each number divisible by {k} is
    replaced by the string {word!r}"""
    result = []
    for i in range(1, n + 1):
        if i % k == 0:
            result.append(word)
        else:
            result.append(i)
    return result
