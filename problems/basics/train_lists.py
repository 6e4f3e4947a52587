"""Training families over lists of numbers; `family.py` explains the form."""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from problems.basics.family import INTS, SOME_INTS, easy


@easy(k=[2, 3, 4, 5, 6, 10])
def largest_times(nums: SOME_INTS, *, k):
    """returns the largest number of the list `nums`, multiplied by {k}; the list is never
    empty"""
    largest = max(nums)
    result = largest * k
    return result


@easy(k=[0, 2, 3, 5, 6, 8, 10, 12])
def sum_above(nums: INTS, *, k):
    """returns the sum of the numbers in the list `nums` that are greater than {k}"""
    total = 0
    for x in nums:
        if x > k:
            total += x
    return total


@easy(k=[1, 2, 4, 5, 7, 9, 10])
def count_above(nums: INTS, *, k):
    """returns how many numbers in the list `nums` are greater than {k}"""
    count = 0
    for x in nums:
        if x > k:
            count += 1
    return count


@easy(k=[2, 3, 4, 5, 6, 7, 10])
def count_divisible(nums: INTS, *, k):
    """returns how many numbers in the list `nums` are divisible by {k}"""
    count = 0
    for x in nums:
        if x % k == 0:
            count += 1
    return count


@easy(k=[0, 3, 4, 6, 8, 10, 15])
def keep_below(nums: INTS, *, k):
    """returns the list of the numbers in the list `nums` that are less than {k}, in their order"""
    result = []
    for x in nums:
        if x < k:
            result.append(x)
    return result


@easy(k=[0, 1, 2, 3, 5, 7, 10])
def remove_value(nums: INTS, *, k):
    """returns the list `nums` without the numbers that are equal to {k}"""
    result = []
    for x in nums:
        if x != k:
            result.append(x)
    return result


@easy(k=[2, 3, 4, 5])
def sum_last(nums: INTS, *, k):
    """returns the sum of the last {k} numbers in the list `nums`, or of all of them if there are
    fewer; for an empty list it returns 0"""
    total = 0
    for x in nums[-k:]:
        total += x
    return total


@easy(k=[1, 2, 3, 4, 5, 7, 10])
def add_to_all(nums: INTS, *, k):
    """returns a list with {k} added to each number of the list `nums`"""
    result = []
    for x in nums:
        result.append(x + k)
    return result


@easy(k=[2, 3, 4, 5, 6, 10])
def multiply_all(nums: INTS, *, k):
    """returns a list with each number of the list `nums` multiplied by {k}"""
    result = []
    for x in nums:
        result.append(x * k)
    return result


@easy(k=[0, 1, 3, 5, 7, 9])
def contains_value(nums: INTS, *, k):
    """returns True if the number {k} is in the list `nums`, and False otherwise"""
    found = False
    for x in nums:
        if x == k:
            found = True
    return found


@easy(k=[0, 1])
def index_of(nums: INTS, *, k):
    """returns the index of the first {k} in the list `nums`, or -1 if {k} is not in the list"""
    index = -1
    for i in range(len(nums)):
        if nums[i] == k:
            index = i
            break
    return index


@easy(k=[2, 3])
def take_first(nums: INTS, *, k):
    """returns the list of the first {k} numbers of the list `nums`, or all of them if there are
    fewer"""
    result = []
    for x in nums:
        if len(result) < k:
            result.append(x)
    return result


@easy(k=[1, 2, 3, 4, 5, 10])
def smallest_plus(nums: SOME_INTS, *, k):
    """returns the smallest number of the list `nums`, plus {k}; the list is never empty"""
    smallest = nums[0]
    for x in nums:
        smallest = min(smallest, x)
    return smallest + k


@easy(k=[1, 2, 5, 7, 10, 20])
def total_plus(nums: INTS, *, k):
    """returns {k} plus the sum of the numbers in the list `nums`"""
    total = k
    for x in nums:
        total += x
    return total


@easy(k=[2, 3, 4, 5])
def size_times(nums: INTS, *, k):
    """returns the number of elements in the list `nums`, multiplied by {k}"""
    size = 0
    for x in nums:
        size += 1
    return size * k


@easy(k=[1, 2, 5, 10])
def add_lists(a: INTS, b: INTS, *, k):
    """returns the list of the sums of the numbers at the same index in the lists `a` and `b`, each
    plus {k}; it is as long as the shorter list"""
    result = []
    for i in range(min(len(a), len(b))):
        result.append(a[i] + b[i] + k)
    return result


@easy(k=[1, 2, 3, 4, 5, 7, 10])
def size_plus(nums: INTS, *, k):
    """returns the length of the list `nums`, plus {k}"""
    size = len(nums)
    result = size + k
    return result


@easy(k=[0, 3, 5, 6, 8, 10])
def any_over(nums: INTS, *, k):
    """returns True if any number in the list `nums` is greater than {k}, and False otherwise"""
    found = False
    for x in nums:
        if x > k:
            found = True
    return found


@easy(k=[5, 10, 12, 15, 20, 30])
def sum_exceeds(nums: INTS, *, k):
    """returns True if the sum of the list `nums` is greater than {k}, and False otherwise"""
    total = sum(nums)
    answer = total > k
    return answer


@easy(k=[2, 3, 4, 5])
def has_more_than(nums: INTS, *, k):
    """returns True if the list `nums` has more than {k} numbers, and False otherwise"""
    size = len(nums)
    answer = size > k
    return answer


@easy(k=[2, 3, 4, 5, 6, 7, 10])
def sum_multiplied(nums: INTS, *, k):
    """returns the sum of the list `nums`, multiplied by {k}"""
    total = sum(nums)
    result = total * k
    return result


@easy(k=[1, 2, 3, 4, 5, 7, 10])
def subtract_from_all(nums: INTS, *, k):
    """returns a list with {k} subtracted from each number of the list `nums`"""
    result = []
    for x in nums:
        result.append(x - k)
    return result


@easy(k=[2, 3])
def repeat_list(nums: INTS, *, k):
    """returns the list `nums` repeated {k} times"""
    times = k
    result = nums * times
    return result


@easy(k=[1, 2, 3, 4, 5, 10])
def sum_minus(nums: INTS, *, k):
    """returns the sum of the numbers in the list `nums`, minus {k}"""
    total = sum(nums)
    result = total - k
    return result


@easy(k=[0, 3, 5, 8])
def count_below(nums: INTS, *, k):
    """returns the number of elements of the list `nums` that are less than {k}"""
    count = 0
    for x in nums:
        if x < k:
            count += 1
    return count


@easy(k=[2, 3, 4, 5, 6, 10])
def last_times(nums: SOME_INTS, *, k):
    """returns the last number of the list `nums`, multiplied by {k}; the list is never empty"""
    last = nums[-1]
    result = last * k
    return result


@easy(k=[2, 3, 4, 5])
def sum_of_multiples(nums: INTS, *, k):
    """returns the sum of each number in the list `nums` multiplied by {k}"""
    total = 0
    for x in nums:
        total += x * k
    return total


@easy(k=[0, 1, 2, 3, 5])
def count_value(nums: INTS, *, k):
    """returns how many times {k} occurs in the list `nums`"""
    count = 0
    for x in nums:
        if x == k:
            count += 1
    return count


@easy(k=[2, 3, 4, 5, 10])
def divide_all(nums: INTS, *, k):
    """returns a list with each number of the list `nums` divided by {k} with `//`"""
    result = []
    for x in nums:
        result.append(x // k)
    return result


@easy(k=[0, 3, 5, 8, 10])
def numbers_over(nums: INTS, *, k):
    """returns the list of the numbers in `nums` that are greater than {k}"""
    result = []
    for x in nums:
        if x > k:
            result.append(x)
    return result


@easy(k=[0, 3, 5, 8, 10])
def compare_all(nums: INTS, *, k):
    """returns a list with True for each number of the list `nums` that is greater than {k}, and
    False for each other number"""
    result = []
    for x in nums:
        result.append(x > k)
    return result


@easy(k=[0, 3, 5, 8])
def sum_below(nums: INTS, *, k):
    """returns the sum of all numbers in the list `nums` that are less than {k}"""
    total = 0
    for x in nums:
        if x < k:
            total += x
    return total
