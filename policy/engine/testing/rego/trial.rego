# What tests of the engine ask for: any answer at all, a computation of any length, or a conflict.
package trial

decision := input.answer

decision := {"deny": [reason]} if {
	input.turns
	pairs := count([1 |
		some first in numbers.range(1, input.turns)
		some second in numbers.range(1, input.turns)
		first <= second
	])
	reason := $"{pairs} pairs"
}

decision := input.other
