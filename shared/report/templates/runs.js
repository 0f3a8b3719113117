// Behind sorting.js: the table of runs.
sortable(document.querySelector("table"));
