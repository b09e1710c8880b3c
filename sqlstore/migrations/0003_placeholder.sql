-- Nothing: the numbers of migrations have no gaps.
SELECT 1;
