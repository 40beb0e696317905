module github.com/assenthq/assent/tools/names

go 1.26.0

require github.com/assenthq/assent v0.0.0

require golang.org/x/text v0.43.0 // indirect

replace github.com/assenthq/assent => ../..
