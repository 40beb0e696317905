package mysql

import "github.com/assenthq/assent/action"

// harmless are functions of the server's own, in MySQL 5.7 and later and in MariaDB 10.4 and
// later alike, that change nothing, wait for nothing and read no data but their arguments.
// What is not on the list is a call of somebody's routine, or one that does more.
var harmless = words(
	// aggregates and windows
	`avg bit_and bit_or bit_xor count group_concat max min std stddev stddev_pop stddev_samp sum var_pop var_samp variance json_arrayagg json_objectagg`,
	`row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value`,
	// flow and comparison
	`coalesce if ifnull nullif greatest least interval isnull strcmp values`,
	// text
	`ascii bin bit_length char char_length character_length concat concat_ws elt export_set field find_in_set format from_base64 hex insert instr lcase left length locate lower lpad
	ltrim make_set mid oct octet_length ord position quote repeat replace reverse right rpad rtrim soundex space substr substring substring_index to_base64 trim ucase unhex upper
	weight_string`,
	// numbers
	`abs acos asin atan atan2 ceil ceiling conv cos cot crc32 degrees exp floor ln log log10 log2 mod pi pow power radians rand round sign sin sqrt tan truncate bit_count`,
	// time
	`adddate addtime convert_tz curdate current_date current_time current_timestamp curtime date date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear extract
	from_days from_unixtime get_format hour last_day localtime localtimestamp makedate maketime microsecond minute month monthname now period_add period_diff quarter sec_to_time second
	str_to_date subdate subtime sysdate time time_format time_to_sec timediff timestamp timestampadd timestampdiff to_days to_seconds unix_timestamp utc_date utc_time utc_timestamp week
	weekday weekofyear year yearweek`,
	// casts, JSON, hashes, identifiers
	`cast convert binary json_array json_array_append json_array_insert json_contains json_contains_path json_depth json_extract json_insert json_keys json_length json_merge_patch
	json_merge_patch json_merge_preserve json_object json_quote json_remove json_replace json_search json_set json_type json_unquote json_valid
	md5 sha sha1 sha2 compress uncompress uncompressed_length uuid uuid_short inet_aton inet_ntoa inet6_aton inet6_ntoa is_ipv4 is_ipv6`,
	// the session and the server
	`connection_id current_user database schema found_rows row_count session_user system_user user version charset coercibility collation last_insert_id default`,
)

// aggregates fold rows.
var aggregates = words(`avg bit_and bit_or bit_xor count group_concat max min std stddev stddev_pop stddev_samp sum var_pop var_samp variance json_arrayagg json_objectagg`)

// plain functions return what they are given, or how much there is of it: what stands in
// a value is found in their answer too. All others turn text.
var plain = words(`avg count max min sum json_arrayagg row_number rank dense_rank ntile lag lead first_value last_value nth_value coalesce if ifnull nullif lcase lower ucase upper
	ltrim rtrim trim char_length character_length length octet_length bit_length json_extract json_unquote json_keys json_length json_type json_array json_object json_valid quote values isnull default
	any_value greatest least`)

// settings are variables of the session that change nothing but how its own statements
// run or are shown. What gives a text its meaning is the gate's to pin.
var settings = words(`autocommit time_zone wait_timeout interactive_timeout net_read_timeout net_write_timeout lock_wait_timeout innodb_lock_wait_timeout max_execution_time max_statement_time
	sql_select_limit sql_mode names character_set_results character_set_client character_set_connection collation_connection charset transaction_isolation tx_isolation transaction_read_only
	tx_read_only group_concat_max_len lc_time_names lc_messages sql_safe_updates sql_notes sql_warnings sql_quote_show_create sql_auto_is_null sql_big_selects max_join_size
	profiling session_track_schema transaction net_buffer_length`)

// shows are the SHOW statements that tell how things are made, and nothing of what is in them.
var shows = words(`databases schemas tables table columns fields index indexes keys create variables status warnings errors engines collation character charset full extended open plugins
	privileges procedure function triggers events session global local count storage profiles`)

// described are the views of information_schema that tell how things are made, and nothing of what is in them or
// of what sessions do and hold.
var described = words(`tables columns statistics schemata views key_column_usage table_constraints referential_constraints check_constraints triggers partitions engines collations character_sets
	collation_character_set_applicability parameters routines events sequences keywords sql_functions applicable_roles enabled_roles schema_privileges table_privileges user_privileges
	column_privileges plugins system_variables session_variables global_variables session_status global_status geometry_columns innodb_tables innodb_columns innodb_indexes`)

// A verb is how statements are known that are told by their first words.
type verb struct {
	why      string
	kinds    []action.Kind
	harmless string
}

func k(kinds ...action.Kind) []action.Kind { return kinds }

// verbs by their first words; the longest match counts.
var verbs = map[string]verb{
	"begin":              {harmless: "transaction control"},
	"start transaction":  {harmless: "transaction control"},
	"commit":             {harmless: "transaction control"},
	"rollback":           {harmless: "transaction control"},
	"savepoint":          {harmless: "transaction control"},
	"release savepoint":  {harmless: "transaction control"},
	"unlock tables":      {harmless: "locks released"},
	"create table":       {kinds: k(action.SchemaChange)},
	"create index":       {kinds: k(action.SchemaChange)},
	"create view":        {kinds: k(action.SchemaChange)},
	"create database":    {kinds: k(action.SchemaChange)},
	"create schema":      {kinds: k(action.SchemaChange)},
	"create sequence":    {kinds: k(action.SchemaChange)},
	"alter table":        {kinds: k(action.SchemaChange)},
	"alter view":         {kinds: k(action.SchemaChange)},
	"alter database":     {kinds: k(action.SchemaChange)},
	"alter schema":       {kinds: k(action.SchemaChange)},
	"alter sequence":     {kinds: k(action.SchemaChange)},
	"drop table":         {kinds: k(action.SchemaChange)},
	"drop index":         {kinds: k(action.SchemaChange)},
	"drop view":          {kinds: k(action.SchemaChange)},
	"drop database":      {kinds: k(action.SchemaChange)},
	"drop schema":        {kinds: k(action.SchemaChange)},
	"drop sequence":      {kinds: k(action.SchemaChange)},
	"rename table":       {kinds: k(action.SchemaChange)},
	"truncate":           {kinds: k(action.DataDelete)},
	"create procedure":   {why: "code that later statements run", kinds: k(action.SchemaChange, action.Execute)},
	"create function":    {why: "code that later statements run", kinds: k(action.SchemaChange, action.Execute)},
	"create trigger":     {why: "code that runs with each change", kinds: k(action.SchemaChange, action.Execute)},
	"create event":       {why: "code that runs by itself", kinds: k(action.SchemaChange, action.Execute)},
	"create package":     {why: "code that later statements run", kinds: k(action.SchemaChange, action.Execute)},
	"alter procedure":    {kinds: k(action.SchemaChange, action.Execute)},
	"alter function":     {kinds: k(action.SchemaChange, action.Execute)},
	"alter event":        {kinds: k(action.SchemaChange, action.Execute)},
	"drop procedure":     {kinds: k(action.SchemaChange)},
	"drop function":      {kinds: k(action.SchemaChange)},
	"drop trigger":       {kinds: k(action.SchemaChange)},
	"drop event":         {kinds: k(action.SchemaChange)},
	"drop package":       {kinds: k(action.SchemaChange)},
	"create user":        {why: "a new account", kinds: k(action.IdentityChange, action.PrivilegeChange)},
	"alter user":         {why: "changes an account or its password", kinds: k(action.IdentityChange, action.PrivilegeChange)},
	"drop user":          {why: "removes an account", kinds: k(action.IdentityChange, action.PrivilegeChange)},
	"rename user":        {why: "renames an account", kinds: k(action.IdentityChange, action.PrivilegeChange)},
	"create role":        {why: "a new role", kinds: k(action.IdentityChange, action.PrivilegeChange)},
	"drop role":          {why: "removes a role", kinds: k(action.IdentityChange, action.PrivilegeChange)},
	"set role":           {why: "changes whose rights count", kinds: k(action.PrivilegeChange)},
	"set default role":   {why: "changes whose rights count", kinds: k(action.PrivilegeChange)},
	"set password":       {why: "changes a password", kinds: k(action.IdentityChange)},
	"grant":              {why: "changes who may do what", kinds: k(action.PrivilegeChange)},
	"revoke":             {why: "changes who may do what", kinds: k(action.PrivilegeChange)},
	"create server":      {why: "stores a credential of another server", kinds: k(action.SchemaChange, action.IdentityChange)},
	"alter server":       {why: "stores a credential of another server", kinds: k(action.SchemaChange, action.IdentityChange)},
	"drop server":        {kinds: k(action.SchemaChange)},
	"create tablespace":  {kinds: k(action.InfraCreate)},
	"alter tablespace":   {kinds: k(action.InfraChange)},
	"drop tablespace":    {kinds: k(action.InfraDestroy)},
	"install":            {why: "loads code into the server", kinds: k(action.Execute, action.ConfigChange)},
	"uninstall":          {kinds: k(action.ConfigChange)},
	"call":               {why: "runs a procedure", kinds: k(action.Execute)},
	"lock":               {why: "holds others up", kinds: k(action.ConfigChange)},
	"flush":              {kinds: k(action.ConfigChange)},
	"reset":              {kinds: k(action.ConfigChange)},
	"purge":              {why: "removes logs of the server", kinds: k(action.DataDelete, action.AuditChange)},
	"kill":               {why: "ends another connection or its statement", kinds: k(action.ConfigChange)},
	"change":             {why: "changes replication", kinds: k(action.ConfigChange)},
	"start":              {why: "changes replication", kinds: k(action.ConfigChange)},
	"stop":               {why: "changes replication", kinds: k(action.ConfigChange)},
	"shutdown":           {kinds: k(action.InfraChange)},
	"restart":            {kinds: k(action.InfraChange)},
	"analyze table":      {kinds: k(action.ConfigChange)},
	"optimize":           {kinds: k(action.ConfigChange)},
	"repair":             {kinds: k(action.ConfigChange)},
	"check":              {kinds: k(action.ConfigChange)},
	"checksum":           {kinds: k(action.DataRead)},
	"cache index":        {kinds: k(action.ConfigChange)},
	"load data":          {why: "reads a file of the server", kinds: k(action.DataWrite, action.Execute)},
	"load xml":           {why: "reads a file of the server", kinds: k(action.DataWrite, action.Execute)},
	"load index":         {kinds: k(action.ConfigChange)},
	"prepare":            {why: "a statement that only the server sees", kinds: k(action.Unknown)},
	"execute":            {why: "a statement that only the server sees", kinds: k(action.Unknown)},
	"deallocate prepare": {kinds: k(action.Unknown)},
	"drop prepare":       {kinds: k(action.Unknown)},
}
