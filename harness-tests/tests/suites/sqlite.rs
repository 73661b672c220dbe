//! SQLite's shell on a script of 60,000 rows, and the database that it leaves.

use crate::twins::Twins;

/// Names spread over the words, weights over the rows; no row depends on a clock or on chance.
const SCHEMA: &str = "
pragma foreign_keys = on;
create table places (id integer primary key, name text not null unique);
create table people (
    id integer primary key,
    place integer not null references places (id) on delete cascade,
    name text not null,
    weight real check (weight >= 0),
    notes text,
    heavy integer generated always as (weight > 500) stored
);
create table changes (id integer primary key, what text, person integer, was text, became text);
create trigger renamed after update of name on people begin
    insert into changes (what, person, was, became) values ('name', old.id, old.name, new.name);
end;
create trigger gone after delete on people begin
    insert into changes (what, person, was) values ('gone', old.id, old.notes);
end;
create view crowded as select place, count(*) as many from people group by place having many > 50;
with recursive n (i) as (select 1 union all select i + 1 from n where i < 997)
    insert into places select i, printf('place %04d', i * 7919 % 10007) from n;
";

const WORK: &str = "
create index by_name on people (name collate nocase, weight desc);
create index by_place on people (place) where heavy;
analyze;
select count(*), sum(weight), min(name), max(name), total(heavy) from people;
explain query plan select * from people where place = 7 and heavy;
select places.name, count(*), round(avg(weight), 3), group_concat(people.id % 10, '')
    from people join places on places.id = place group by places.name order by 2 desc, 1 limit 40;
select * from (select place, id, weight,
    rank() over (partition by place order by weight desc, id) as r,
    sum(weight) over (partition by place order by id rows between 3 preceding and current row) as s,
    lag(name, 2, 'none') over (partition by place order by id) as l from people)
    where r <= 2 order by place, r limit 200;
with recursive tree (id, depth, path) as (
    select 1, 0, '1' union all
    select tree.id * 2 + x, depth + 1, path || '/' || (tree.id * 2 + x)
        from tree, (select 0 as x union all select 1) where depth < 11)
    select depth, count(*), max(length(path)), max(path) from tree group by depth;
create table documents as select id, json_object('name', name, 'weight', weight, 'place',
    json_array(place, place % 3, null), 'notes', json_object('text', notes)) as body
    from people where id % 5 = 0;
select json_extract(body, '$.place[1]') as third, count(*), sum(json_extract(body, '$.weight'))
    from documents group by third;
select sum(length(json_set(body, '$.notes.more', json('[1, 2, {\"x\": 3}]')))) from documents;
select count(*) from documents, json_each(body, '$.place') where value = 7;
create virtual table texts using fts5 (name, notes);
insert into texts (rowid, name, notes) select id, name, notes from people where id % 4 = 0;
select rowid, snippet(texts, 1, '[', ']', '…', 6) from texts where texts match 'seven AND three' order by rank, rowid limit 20;
create virtual table boxes using rtree (id, x0, x1, y0, y1);
insert into boxes select id, id % 100, id % 100 + 3, id % 77, id % 77 + 2 from people where id % 3 = 0;
select count(*), sum(id) from boxes where x0 < 20 and x1 > 10 and y0 > 30 and y1 < 50;
begin;
update people set name = name || ' the ' || (id % 13) where id % 7 = 0;
savepoint half;
delete from people where id % 11 = 0;
select count(*) from people;
rollback to half;
delete from places where id % 50 = 0;
commit;
select what, count(*), sum(length(was)), sum(length(became)) from changes group by what;
insert into people (id, place, name, weight) values (1, 2, 'again', 3)
    on conflict (id) do update set weight = excluded.weight, name = excluded.name returning id, name, heavy;
insert into people (place, name) values (1000000, 'nowhere');
insert into people (place, name, weight) values (1, 'light', -1);
select none from nowhere;
select printf('%.*c|%q|%8.3f|%x', 20, 'x', 'it''s', 1e3 / 7, 48879), hex(zeroblob(9)), quote(x'00ff');
select upper(hex(group_concat(name, char(0)))) = group_concat(hex(name), '00') from people where id < 2000;
attach 'other.db' as other;
create table other.copy as select * from people order by name, id;
select count(*) from other.copy join people using (id, name);
detach other;
drop table documents;
vacuum;
pragma integrity_check;
pragma foreign_key_check;
.mode box
select * from crowded order by many desc, place limit 10;
.mode csv
select * from people where id between 30000 and 30050;
.mode json
select * from changes where id % 500 = 0;
.mode list
.schema
.sha3sum
.backup copy.db
.dump
";

/// The insertions, in words that the full-text index finds again.
fn rows() -> String {
    let words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let mut text = String::from("begin;\n");
    for id in 1..=60_000_usize {
        let word = |by: usize| words[id / by % words.len()];
        let name = format!("{} {} {}", word(1), word(10), id * 7919 % 100_003);
        let notes = format!("{} ", word(100)).repeat(id % 17) + word(7) + "''s";
        let (place, weight) = (id % 997 + 1, id % 1009);
        text += &format!(
            "insert into people (id, place, name, weight, notes) values ({id}, {place}, '{name}', {weight}.25, '{notes}');\n"
        );
    }
    text + "commit;\n"
}

#[test]
fn a_long_script() {
    let twins = Twins::new(&[("HOME", "/nonexistent")]);
    let words = ["sqlite3", "-batch", "main.db"];
    let both = twins.run(&words, [SCHEMA, &rows(), WORK].concat().as_bytes());
    // Three statements fail on purpose.
    let output = both.expect_same(&words, 1);
    let failures = both.errors().matches(" error near line ").count();
    assert_eq!(failures, 3, "{}", both.errors());
    for part in ["60000|30", "\nok\n", "place 0", "[seven]", "\nCOMMIT;\n"] {
        assert!(output.contains(part), "no {part:?} in {:.4000}", output);
    }
    assert!(output.len() > 8_000_000, "{}", output.len());
    for name in ["main.db", "other.db", "copy.db"] {
        twins.same_file(name);
    }
    let dump = output.split_once("PRAGMA foreign_keys=OFF;").expect("a dump").1;
    let words = ["sqlite3", "again.db"];
    twins.run(&words, dump.as_bytes()).expect_same(&words, 0);
    let words =
        ["sqlite3", "again.db", "select count(*), sum(weight), sum(length(notes)) from people"];
    assert_eq!(twins.same(&words, 0), twins.same(&["sqlite3", "main.db", words[2]], 0));
}
