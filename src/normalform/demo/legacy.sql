-- PhotoCat's schema at revision 202601171500, before normalization.
--
-- Widths differ on purpose (tenant_id is 50 here and 255 there): the original had grown so, and the migration
-- has to cope with it. A column is NOT NULL only where the original was known to say so; the absence of a unique
-- on image_tags, of a tenant on keywords and of foreign keys from tenant_id are the original's too.
--
-- Two sections, in pg_dump's order, so that a loader can fill the tables before the indexes stand. Each
-- statement ends with a semicolon at the end of a line. Nothing here needs more than owning the database.

-- section: tables

CREATE TABLE tenants (
    id varchar(255) NOT NULL,
    name varchar(255),
    active boolean,
    settings json,
    created_at timestamp without time zone,
    updated_at timestamp without time zone
);

CREATE TABLE keyword_categories (
    id serial,
    tenant_id varchar(50),
    name varchar(100),
    parent_id integer,
    sort_order integer,
    created_at timestamp without time zone,
    updated_at timestamp without time zone
);

CREATE TABLE keywords (
    id serial,
    category_id integer NOT NULL,
    keyword varchar(100),
    prompt text,
    sort_order integer,
    created_at timestamp without time zone,
    updated_at timestamp without time zone
);

CREATE TABLE people (
    id serial,
    tenant_id varchar(50),
    name varchar(100),
    aliases json,
    face_embedding_ref varchar(255),
    created_at timestamp without time zone,
    updated_at timestamp without time zone
);

CREATE TABLE image_metadata (
    id serial,
    tenant_id varchar(255),
    path varchar(1024),
    filename varchar(512),
    file_size integer,
    content_hash varchar(64),
    perceptual_hash varchar(64),
    width integer,
    height integer,
    format varchar(10),
    exif_data jsonb,
    camera_make varchar(100),
    camera_model varchar(100),
    lens_model varchar(100),
    iso integer,
    aperture double precision,
    shutter_speed varchar(50),
    focal_length double precision,
    capture_timestamp timestamp without time zone,
    gps_latitude double precision,
    gps_longitude double precision,
    thumbnail_path varchar(1024),
    tags_applied boolean,
    faces_detected boolean,
    created_at timestamp without time zone,
    updated_at timestamp without time zone
);

CREATE TABLE image_tags (
    id serial,
    image_id integer,
    tenant_id varchar(255),
    keyword varchar(255) NOT NULL,
    category varchar(255),
    confidence double precision,
    manual boolean,
    created_at timestamp without time zone
);

CREATE TABLE machine_tags (
    id serial,
    image_id integer,
    tenant_id varchar(255),
    keyword varchar(255) NOT NULL,
    category varchar(255),
    confidence double precision NOT NULL,
    tag_type varchar(50),
    model_name varchar(100) NOT NULL,
    model_version varchar(50),
    created_at timestamp without time zone,
    updated_at timestamp without time zone
);

CREATE TABLE permatags (
    id serial,
    tenant_id varchar(50),
    image_id integer,
    keyword varchar(100),
    category varchar(100),
    signum integer,
    created_at timestamp without time zone,
    created_by varchar(100)
);

CREATE TABLE trained_image_tags (
    id serial,
    image_id integer,
    tenant_id varchar(255),
    keyword varchar(255),
    category varchar(255),
    confidence double precision,
    model_name varchar(100),
    model_version varchar(50),
    created_at timestamp without time zone
);

CREATE TABLE keyword_models (
    id serial,
    tenant_id varchar(255),
    keyword varchar(255),
    model_name varchar(100),
    model_version varchar(50),
    positive_centroid double precision[] NOT NULL,
    negative_centroid double precision[],
    created_at timestamp without time zone,
    updated_at timestamp without time zone
);

CREATE TABLE detected_faces (
    id serial,
    image_id integer,
    tenant_id varchar(255),
    person_name varchar(255),
    confidence double precision,
    bbox_top integer,
    bbox_right integer,
    bbox_bottom integer,
    bbox_left integer,
    face_encoding double precision[],
    created_at timestamp without time zone
);

-- section: indexes

ALTER TABLE tenants ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);
ALTER TABLE keyword_categories ADD CONSTRAINT keyword_categories_pkey PRIMARY KEY (id);
ALTER TABLE keywords ADD CONSTRAINT keywords_pkey PRIMARY KEY (id);
ALTER TABLE people ADD CONSTRAINT people_pkey PRIMARY KEY (id);
ALTER TABLE image_metadata ADD CONSTRAINT image_metadata_pkey PRIMARY KEY (id);
ALTER TABLE image_tags ADD CONSTRAINT image_tags_pkey PRIMARY KEY (id);
ALTER TABLE machine_tags ADD CONSTRAINT machine_tags_pkey PRIMARY KEY (id);
ALTER TABLE permatags ADD CONSTRAINT permatags_pkey PRIMARY KEY (id);
ALTER TABLE trained_image_tags ADD CONSTRAINT trained_image_tags_pkey PRIMARY KEY (id);
ALTER TABLE keyword_models ADD CONSTRAINT keyword_models_pkey PRIMARY KEY (id);
ALTER TABLE detected_faces ADD CONSTRAINT detected_faces_pkey PRIMARY KEY (id);

CREATE INDEX ix_tenants_active ON tenants (active);

ALTER TABLE keyword_categories ADD CONSTRAINT uq_keyword_categories_tenant_id_name_parent_id
    UNIQUE (tenant_id, name, parent_id);
CREATE INDEX ix_keyword_categories_tenant_id ON keyword_categories (tenant_id);

ALTER TABLE keywords ADD CONSTRAINT uq_keywords_category_id_keyword UNIQUE (category_id, keyword);
CREATE INDEX ix_keywords_category_id ON keywords (category_id);

ALTER TABLE people ADD CONSTRAINT uq_people_tenant_id_name UNIQUE (tenant_id, name);

CREATE INDEX ix_image_metadata_tenant_id_capture_timestamp ON image_metadata (tenant_id, capture_timestamp);
CREATE INDEX ix_image_metadata_tenant_id ON image_metadata (tenant_id);
CREATE INDEX ix_image_metadata_content_hash ON image_metadata (content_hash);
CREATE INDEX ix_image_metadata_perceptual_hash ON image_metadata (perceptual_hash);

CREATE INDEX ix_image_tags_tenant_id_keyword ON image_tags (tenant_id, keyword);
CREATE INDEX ix_image_tags_keyword ON image_tags (keyword);
CREATE INDEX ix_image_tags_tenant_id ON image_tags (tenant_id);

CREATE INDEX ix_machine_tags_tenant_id_image_id_tag_type ON machine_tags (tenant_id, image_id, tag_type);
CREATE INDEX ix_machine_tags_tenant_id_tag_type_keyword ON machine_tags (tenant_id, tag_type, keyword);
CREATE INDEX ix_machine_tags_tenant_id ON machine_tags (tenant_id);
CREATE UNIQUE INDEX uq_machine_tags_image_keyword_type_model
    ON machine_tags (tenant_id, image_id, keyword, tag_type, model_name);

ALTER TABLE permatags ADD CONSTRAINT uq_permatags_tenant_id_image_id_keyword
    UNIQUE (tenant_id, image_id, keyword);
CREATE INDEX ix_permatags_tenant_id ON permatags (tenant_id);
CREATE INDEX ix_permatags_image_id ON permatags (image_id);
CREATE INDEX ix_permatags_keyword ON permatags (keyword);

CREATE INDEX ix_trained_image_tags_tenant_id_image_id ON trained_image_tags (tenant_id, image_id);
CREATE UNIQUE INDEX uq_trained_image_tags_image_keyword_model
    ON trained_image_tags (tenant_id, image_id, keyword, model_name);

CREATE UNIQUE INDEX uq_keyword_models_tenant_id_keyword_model_name
    ON keyword_models (tenant_id, keyword, model_name);

CREATE INDEX ix_detected_faces_tenant_id_person_name ON detected_faces (tenant_id, person_name);
CREATE INDEX ix_detected_faces_person_name ON detected_faces (person_name);
CREATE INDEX ix_detected_faces_tenant_id ON detected_faces (tenant_id);

ALTER TABLE keyword_categories ADD CONSTRAINT fk_keyword_categories_parent_id
    FOREIGN KEY (parent_id) REFERENCES keyword_categories (id) ON DELETE CASCADE;
ALTER TABLE keywords ADD CONSTRAINT fk_keywords_category_id
    FOREIGN KEY (category_id) REFERENCES keyword_categories (id) ON DELETE CASCADE;
ALTER TABLE people ADD CONSTRAINT fk_people_tenant_id
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE;
ALTER TABLE image_tags ADD CONSTRAINT fk_image_tags_image_id
    FOREIGN KEY (image_id) REFERENCES image_metadata (id);
ALTER TABLE machine_tags ADD CONSTRAINT fk_machine_tags_image_id
    FOREIGN KEY (image_id) REFERENCES image_metadata (id) ON DELETE CASCADE;
ALTER TABLE permatags ADD CONSTRAINT fk_permatags_image_id
    FOREIGN KEY (image_id) REFERENCES image_metadata (id) ON DELETE CASCADE;
ALTER TABLE trained_image_tags ADD CONSTRAINT fk_trained_image_tags_image_id
    FOREIGN KEY (image_id) REFERENCES image_metadata (id) ON DELETE CASCADE;
ALTER TABLE detected_faces ADD CONSTRAINT fk_detected_faces_image_id
    FOREIGN KEY (image_id) REFERENCES image_metadata (id);
