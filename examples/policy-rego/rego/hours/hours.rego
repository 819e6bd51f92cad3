# The panel is for the shift; changing something is for devices that are known to be in good order.
package hours

# Asked for every interface that says rego: hours. Allows only with nothing in deny; the texts are for explanations.
decision := {"deny": deny}

# Each rule says what has to be, and denies unless it is: what nobody knows then denies too.
deny contains "outside the hours of the shift" if not in_shift

deny contains "only reading without an affirming appraisal" if {
	input.operation.method != "GET"
	not well_known
}

# data.hours is data.json of this folder. A package has no clock: the time of the request is in its input.
in_shift if {
	minute := floor(input.context.time / 60000) % 1440
	some shift in data.hours.shifts
	shift.from_minute <= minute
	minute < shift.to_minute
}

well_known if {
	input.subject.attributes.attestation in {"software", "tpm"}
	input.subject.attributes.risk < 50
}
