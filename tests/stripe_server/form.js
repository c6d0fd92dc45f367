// Bodies and queries as Stripe reads them: application/x-www-form-urlencoded with brackets for nesting.
'use strict';

const NUMBERED = /^\d+$/;

/// 'a[b]' and 'a[]' are paths of keys; a key that is no such path is taken as it stands.
function pathOf(key) {
    const name = key.match(/^[^[\]]+/);
    if (!name) return [key];
    const rest = key.slice(name[0].length);
    if (!/^(\[[^[\]]*\])*$/.test(rest)) return [key];
    return [name[0], ...[...rest.matchAll(/\[([^[\]]*)\]/g)].map(match => match[1])];
}

function place(target, path, value) {
    const [key, ...rest] = path;
    const name = key === '' ? String(Object.keys(target).length) : key;
    if (rest.length === 0) {
        target[name] = value;
        return;
    }
    if (typeof target[name] !== 'object') target[name] = Object.create(null);
    place(target[name], rest, value);
}

function withArrays(value) {
    if (typeof value !== 'object') return value;
    const keys = Object.keys(value);
    if (keys.length > 0 && keys.every(key => NUMBERED.test(key))) return keys.map(key => withArrays(value[key]));
    return Object.fromEntries(keys.map(key => [key, withArrays(value[key])]));
}

/// Every value is a string, as it came.
function parseForm(text) {
    const parsed = Object.create(null);
    for (const [key, value] of new URLSearchParams(text)) place(parsed, pathOf(key), value);
    return withArrays(parsed);
}

module.exports = {parseForm};
