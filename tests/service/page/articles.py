"""Articles for the tests of the page: one story in five languages, and others of their own."""

ARTICLES = [
    {
        "id": "bridge-en",
        "title": "Padma bridge closed after barge strikes pier",
        "text": "The road bridge over the Padma river was closed on Wednesday after a barge carrying 900 tonnes of sand"
        " struck its fourth pier. Three crew members were injured.\n\nEngineers said that the repair would take 12 days"
        " and cost 45 million taka. Until then buses and lorries are carried across by 6 ferries.",
        "language": "en",
        "source": "River Post",
        "url": "https://river-post.example/2024/07/17/padma-bridge",
        "published_at": "2024-07-17T14:30:00Z",
    },
    {
        "id": "bridge-bn",
        "title": "বার্জের ধাক্কায় বন্ধ পদ্মা সেতু",
        "text": "বালুবোঝাই একটি বার্জ চতুর্থ স্তম্ভে ধাক্কা দেওয়ার পর বুধবার পদ্মা নদীর ওপরের সড়ক সেতুটি বন্ধ করে দেওয়া হয়েছে। বার্জটিতে ৯০০ টন বালু"
        " ছিল। তিনজন নাবিক আহত হয়েছেন।\n\nপ্রকৌশলীরা জানিয়েছেন, মেরামতে ১২ দিন লাগবে এবং খরচ হবে ৪৫ মিলিয়ন টাকা। ততদিন ৬টি ফেরিতে বাস ও ট্রাক"
        " পারাপার করা হবে।",
        "language": "bn",
        "source": "নদী সংবাদ",
        "published_at": "2024-07-17",
    },
    {
        "id": "bridge-hi",
        "title": "बजरे की टक्कर के बाद पद्मा पुल बंद",
        "text": "रेत से लदे एक बजरे के चौथे खंभे से टकराने के बाद बुधवार को पद्मा नदी पर बना सड़क पुल बंद कर दिया गया। बजरे में 900 टन रेत थी।"
        " चालक दल के तीन सदस्य घायल हो गए।\n\nइंजीनियरों ने कहा कि मरम्मत में 12 दिन लगेंगे और 45 मिलियन टका खर्च होंगे। तब तक बसें और ट्रक 6"
        " फ़ेरियों से पार कराए जाएँगे।",
        "language": "hi",
        "source": "नदी समाचार",
        "published_at": "2024-07-18",
    },
    {
        "id": "bridge-ar",
        "title": "إغلاق جسر بادما بعد اصطدام صندل به",
        "text": "أُغلق جسر الطريق فوق نهر بادما يوم الأربعاء بعد أن اصطدم صندل محمّل بـ900 طن من الرمال بدعامته الرابعة. وأصيب"
        " ثلاثة من أفراد الطاقم.\n\nوقال المهندسون إن الإصلاح سيستغرق 12 يومًا ويكلف 45 مليون تاكا. وحتى ذلك الحين تُنقل"
        " الحافلات والشاحنات عبر النهر بواسطة 6 عبّارات.",
        "language": "ar",
        "source": "أخبار النهر",
        "published_at": "2024-07-18",
    },
    {
        "id": "bridge-es",
        "title": "Cerrado el puente del Padma tras el choque de una barcaza",
        "text": "El puente de carretera sobre el río Padma fue cerrado el miércoles después de que una barcaza cargada con"
        " 900 toneladas de arena chocara contra su cuarto pilar. Tres tripulantes resultaron heridos.\n\nLos ingenieros"
        " dijeron que la reparación durará 12 días y costará 45 millones de takas. Hasta entonces, 6 transbordadores"
        " llevarán autobuses y camiones a la otra orilla.",
        "language": "es",
        "source": "Diario del Río",
        "published_at": "2024-07-18",
    },
    {
        "id": "museum-ar",
        "title": "المتحف يفتح جناحًا جديدًا للبرديات",
        "text": "افتتح المتحف في القاهرة صباح الأحد جناحًا جديدًا يضم 4200 بردية لم تُعرض من قبل. ويعود أقدمها إلى أكثر من أربعة"
        " آلاف سنة.\n\nوقالت مديرة المتحف إن فريقًا من 30 مرممًا عمل سبع سنوات على فك اللفائف وتصويرها. وأضافت أن نسخًا رقمية من"
        " جميع البرديات ستكون متاحة للباحثين مجانًا قبل نهاية العام.\n\nوسيكون الدخول إلى الجناح مجانيًا للطلاب كل يوم خميس، على أن"
        " يُغلق المتحف أبوابه في أيام العطل الرسمية.",
        "language": "ar",
        "source": "صحيفة النيل",
        "url": "https://nile.example/museum",
        "published_at": "2023-11-05",
    },
    {
        "id": "smog-ur",
        "title": "لاہور میں سموگ، اسکول پانچ دن کے لیے بند",
        "text": "لاہور میں شدید سموگ کے باعث تمام اسکول پانچ دن کے لیے بند کر دیے گئے ہیں۔ منگل کی صبح شہر کا فضائی معیار کا اشاریہ"
        " 480 تک پہنچ گیا۔\n\nڈاکٹروں نے بزرگوں اور بچوں کو گھروں میں رہنے اور باہر نکلتے وقت ماسک پہننے کا مشورہ دیا ہے۔ حکومت نے"
        " اینٹوں کے 200 بھٹے بھی بند کرا دیے ہیں۔",
        "language": "ur",
        "source": "روزنامہ راوی",
        "published_at": "2023-11-07",
    },
    {
        "id": "olives-es",
        "title": "La cosecha de aceituna cae un 40 por ciento",
        "text": "La cosecha de aceituna en Jaén será este año un 40 por ciento menor que la anterior por la sequía, según las"
        " cooperativas. El precio del aceite en origen ha subido a 8 euros el litro.",
        "language": "es",
        "source": "Diario del Río",
        "published_at": "2023-10",
    },
    {
        "id": "ice-ru",
        "title": "На Оби начался ледоход",
        "text": "На Оби у Новосибирска начался ледоход, на две недели раньше обычного. Паромное сообщение откроется 25 апреля,"
        " если уровень воды не поднимется выше пяти метров.",
        "language": "ru",
        "source": "Сибирский вестник",
        "published_at": "2024-04-09",
    },
    {
        "id": "solar-en",
        "title": "Desert plant to power 600,000 homes",
        "text": "A solar plant of 2,245 megawatts has been connected to the grid in the desert of Rajasthan. It will power"
        " 600,000 homes.\n\nRobots clean its ten million panels at night without water, for rain falls on fewer than 15"
        " days a year.",
        "language": "en",
        "source": "River Post",
        "url": "javascript:alert(1)",
        "published_at": "2024",
    },
]
