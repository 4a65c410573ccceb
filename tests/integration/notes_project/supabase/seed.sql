insert into public.topics (name) values ('home'), ('work');
