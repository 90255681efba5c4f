package script

import "github.com/mica-build/mica/lint"

// All are the rules, by code.
func All() []lint.Rule {
	return []lint.Rule{
		parse, sc1083, sc2002, sc2006, sc2015, sc2016, sc2028, sc2035, sc2038, sc2046, sc2048, sc2059, sc2068, sc2086,
		sc2103, sc2115, sc2140, sc2143, sc2154, sc2155, sc2164, sc2181, sc3001, sc3006, sc3009, sc3010, sc3011, sc3014,
		sc3020, sc3024, sc3028, sc3030, sc3037, sc3040, sc3043, sc3044, sc3046, sc3054, sc3057, sc3060,
	}
}
