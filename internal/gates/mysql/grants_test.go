package mysql

import "testing"

func TestWhereTriggersAreSeen(t *testing.T) {
	for _, c := range []struct {
		grants        []string
		schema, table string
		want          bool
	}{
		{[]string{"GRANT ALL PRIVILEGES ON *.* TO `app`@`%` WITH GRANT OPTION"}, "shop", "t", true},
		{[]string{"GRANT USAGE ON *.* TO `app`@`%`", "GRANT SELECT, TRIGGER ON `shop`.* TO `app`@`%`"}, "shop", "t", true},
		{[]string{"GRANT SELECT, TRIGGER ON `shop`.* TO `app`@`%`"}, "other", "t", false},
		{[]string{"GRANT SELECT, INSERT, UPDATE ON `shop`.* TO `app`@`%`"}, "shop", "t", false},
		{[]string{"GRANT TRIGGER ON `shop`.`t` TO `app`@`%`"}, "shop", "t", true},
		{[]string{"GRANT TRIGGER ON `shop`.`t` TO `app`@`%`"}, "shop", "u", false},
		{[]string{"GRANT TRIGGER ON `sh%`.* TO `app`@`%`"}, "shop", "u", true},
		{[]string{"GRANT TRIGGER ON `sh_p`.* TO `app`@`%`"}, "shop", "u", true},
		{[]string{`GRANT TRIGGER ON ` + "`" + `sh\_p` + "`" + `.* TO app`}, "shop", "u", false},
		{[]string{"GRANT SELECT (`TRIGGER`) ON `shop`.`t` TO `app`@`%`"}, "shop", "t", false},
		{[]string{"GRANT `r` TO `app`@`%`"}, "shop", "t", false},
		{[]string{"GRANT ALL PRIVILEGES ON *.* TO `app`@`%`", "REVOKE TRIGGER ON `shop`.* FROM `app`@`%`"}, "shop", "t", false},
		{nil, "shop", "t", false},
	} {
		got := false
		for _, s := range triggersSeen(c.grants) {
			got = got || s.holds(c.schema, c.table)
		}
		if got != c.want {
			t.Errorf("%q: %v for %s.%s", c.grants, got, c.schema, c.table)
		}
	}
}
