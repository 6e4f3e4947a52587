"""Training families over lists of numbers; `family.py` explains the form."""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from basics.family import INTS, SOME_INTS, easy


@easy(k=[1, 2, 3, 4, 5, 10])
def first_number_plus(nums: SOME_INTS, *, k):
    """returns the first number of the list `nums`, plus {k}; the list is never empty"""
    first = nums[0]
    result = first + k
    return result


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


@easy(k=[0, 1, 2, 3, 5, 8], edges=lambda k: [[[k, k + 1]]])
def all_above(nums: INTS, *, k):
    """returns True if all numbers in the list `nums` are greater than {k}, and False otherwise;
    for an empty list it returns True"""
    answer = True
    for x in nums:
        if x <= k:
            answer = False
    return answer


@easy(k=[0, 1, 3, 5, 7, 9])
def contains_value(nums: INTS, *, k):
    """returns True if the number {k} is in the list `nums`, and False otherwise"""
    found = False
    for x in nums:
        if x == k:
            found = True
    return found


@easy(
    k=[0, 2, 4, 5, 8, 10], default=[-1, 0, -1, 100, 0, -1], edges=lambda k, default: [[[k, k + 1]]]
)
def first_above(nums: INTS, *, k, default):
    """returns the first number in the list `nums` that is greater than {k}, or {default} if there
    is none"""
    result = default
    for x in nums:
        if x > k:
            result = x
            break
    return result


@easy(k=[0, 1, 3, 4, 6, 8])
def index_of(nums: INTS, *, k):
    """returns the index of the first {k} in the list `nums`, or -1 if {k} is not in the list"""
    index = -1
    for i in range(len(nums)):
        if nums[i] == k:
            index = i
            break
    return index


@easy(old=[0, 1, 2, 3, 5, 7], new=[9, 0, 4, 8, 1, 6])
def replace_value(nums: INTS, *, old, new):
    """returns the list `nums` with every {old} replaced by {new}"""
    result = []
    for x in nums:
        if x == old:
            result.append(new)
        else:
            result.append(x)
    return result


@easy(k=[0, 1, 2, 5, 7, 10], edges=lambda k: [[[0, -1, 0]]])
def replace_negatives(nums: INTS, *, k):
    """returns the list `nums` with every negative number replaced by {k}"""
    result = []
    for x in nums:
        if x < 0:
            x = k
        result.append(x)
    return result


@easy(k=[5, 6, 8, 10, 12, 15])
def cap_at(nums: INTS, *, k):
    """returns the list `nums` with every number greater than {k} replaced by {k}"""
    result = []
    for x in nums:
        result.append(min(x, k))
    return result


@easy(k=[2, 3, 4])
def every_kth(nums: INTS, *, k):
    """returns the list of the numbers at the indices 0, {k}, 2 * {k} and so on of the list
    `nums`"""
    result = []
    for i in range(0, len(nums), k):
        result.append(nums[i])
    return result


@easy(k=[2, 3, 4, 5])
def take_first(nums: INTS, *, k):
    """returns the list of the first {k} numbers of the list `nums`, or all of them if there are
    fewer"""
    result = []
    for x in nums:
        if len(result) < k:
            result.append(x)
    return result


@easy(k=[2, 3, 4, 5, 6, 10])
def spread(nums: SOME_INTS, *, k):
    """returns the largest number minus the smallest number of the list `nums`, multiplied by {k};
    the list is never empty"""
    largest = max(nums)
    smallest = min(nums)
    difference = largest - smallest
    return difference * k


@easy(k=[1, 2, 3, 4, 5, 10])
def smallest_plus(nums: SOME_INTS, *, k):
    """returns the smallest number of the list `nums`, plus {k}; the list is never empty"""
    smallest = nums[0]
    for x in nums:
        smallest = min(smallest, x)
    return smallest + k


@easy(k=[0, 1, 5, 7, 9])
def surround(nums: INTS, *, k):
    """returns a list that holds {k}, then the numbers of the list `nums`, then {k} again"""
    middle = list(nums)
    result = [k] + middle + [k]
    return result


@easy(k=[1, 2, 5, 7, 10, 20])
def total_plus(nums: INTS, *, k):
    """returns {k} plus the sum of the numbers in the list `nums`"""
    total = k
    for x in nums:
        total += x
    return total


@easy(k=[2, 3, 4, 5, 6, 10])
def first_plus_last(nums: SOME_INTS, *, k):
    """returns {k} times the sum of the first and the last number of the list `nums`; the list is
    never empty"""
    first = nums[0]
    last = nums[-1]
    return (first + last) * k


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


@easy(k=[0, 2, 3, 5, 6, 8])
def mark_above(nums: INTS, *, k):
    """returns a list that holds True for each number of the list `nums` that is greater than {k},
    and False for each other number"""
    result = []
    for x in nums:
        above = x > k
        result.append(above)
    return result
